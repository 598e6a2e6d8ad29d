"""Cross-entropy of a linear layer's scores without the scores: chunk by chunk over tokens."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from jepa_vl.language.liger_cross_entropy import Found, by_kernels, can_take
from jepa_vl.losses.inputs import exact
from jepa_vl.losses.tiles import spans

#: Scores that are there at once: 128 MiB in float32 for a processor, 512 MiB to fill a GPU.
SCORES_AT_ONCE = {"cpu": 2**25, "cuda": 2**27}


class TokenLosses(NamedTuple):
    """What n tokens cost.

    Attributes:
        total: The sum, which has a gradient.
        each: Float32 ``[n]``, without a gradient; ∞ for a token that cannot be said.
        likeliest: int64 ``[n]``, the place of the highest score; None unless it was asked for. Beside a token
            that cannot be said it may be negative, and is not that token's place.
    """

    total: Tensor
    each: Tensor
    likeliest: Tensor | None


def linear_cross_entropy(
    states: Tensor, weight: Tensor, bias: Tensor | None, places: Tensor, *, likeliest: bool = False
) -> TokenLosses:
    """Return -log softmax(states · weightᵀ + bias) at the tokens' places, in float32.

    The scores ``[n, V]`` are never there as a whole: a chunk of them is made, turned to losses and at once
    to gradients, and given up. What is kept for the backward pass is as large as states, weight and bias.
    As many operations as without chunks. Under autocast the products are of its format, and gradients are
    summed over chunks in float32. On a GPU with liger-kernel its kernels do all of it.

    Args:
        states: ``[n, d]``.
        weight: ``[V, d]``.
        bias: ``[V]`` or None.
        places: int64 ``[n]``; a negative one cannot be said: it costs ∞, and has no gradient.
        likeliest: Whether the places of the highest scores are wanted.
    """
    kind = states.device.type
    half = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
    learns = torch.is_grad_enabled() and any(
        x is not None and x.requires_grad for x in (states, weight, bias)
    )
    with torch.autocast(kind, enabled=False):
        if learns:
            total, each, best = _Losses.apply(states, weight, bias, places, half, likeliest)
        else:
            each, best, _ = _find(states, weight, bias, places, half, likeliest, (False, False, False))
            total = each.sum()
    return TokenLosses(total, each, best if likeliest else None)


class _Gradients:
    """Sums over chunks, of what needs a gradient."""

    def __init__(self, states: Tensor, weight: Tensor, bias: Tensor | None, needed: tuple[bool, ...]) -> None:
        summed = torch.promote_types(weight.dtype, torch.float32)
        self.states = torch.empty_like(states) if needed[0] else None
        self.weight = torch.zeros_like(weight, dtype=summed) if needed[1] else None
        self.bias = torch.zeros_like(bias, dtype=summed) if needed[2] and bias is not None else None

    def add(self, rows: slice, surplus: Tensor, states: Tensor, weight: Tensor) -> None:
        """Take a chunk: the gradient of its scores ``[c, V]``, its states and the weight that made them."""
        if self.bias is not None:
            self.bias += surplus.sum(dim=0)
        narrow = surplus.to(weight.dtype)
        if self.states is not None:
            self.states[rows] = narrow @ weight
        if self.weight is None:
            return
        if self.weight.dtype == narrow.dtype:
            self.weight.addmm_(narrow.T, states)
        else:
            self.weight += narrow.T @ states


class _Losses(torch.autograd.Function):
    """The sum's gradient is made with the losses, and only scaled in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        places: Tensor,
        half: torch.dtype | None,
        likeliest: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        needed = ctx.needs_input_grad[:3]
        each, best, gradients = _find(states, weight, bias, places, half, likeliest, needed)
        ctx.save_for_backward(*gradients)
        ctx.dtypes = [None if x is None else x.dtype for x in (states, weight, bias)]
        ctx.mark_non_differentiable(each, best)
        return each.sum(), each, best

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_total: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        # in place: the weight's is as large as the weight
        scaled = [
            None if g is None else g.mul_(of_total).to(dtype)
            for g, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        ]
        return (*scaled, None, None, None)


def _find(
    states: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    places: Tensor,
    half: torch.dtype | None,
    likeliest: bool,
    needed: tuple[bool, bool, bool],
) -> Found:
    at_once = SCORES_AT_ONCE["cuda" if states.is_cuda else "cpu"]
    whole = (states, weight, bias)
    if half is not None:  # once for all chunks
        weight, bias = weight.to(half), None if bias is None else bias.to(half)
    if can_take(states, weight):
        inputs = (states.to(weight.dtype), weight, bias, places)
        return by_kernels(*inputs, likeliest=likeliest, needed=needed, scores_at_once=at_once)
    gradients = _Gradients(*whole, needed) if any(needed) else None
    each, best = [], [places.new_zeros(0)]
    for rows in spans(len(states), max(1, at_once // len(weight))):
        x, at = states[rows].to(weight.dtype), places[rows]
        scores = exact(F.linear(x, weight, bias))  # [c, V]
        said, known = at.clamp(min=0)[:, None], at >= 0
        log_sum = scores.logsumexp(dim=1, keepdim=True)  # [c, 1]
        loss = (log_sum - scores.gather(1, said)).squeeze(1)
        each.append(loss.masked_fill(~known, torch.inf))
        if likeliest:
            best.append(scores.argmax(dim=1))
        if gradients is not None:
            # of the softmax: the probabilities, less 1 at what is said
            surplus = scores.sub_(log_sum).exp_()
            surplus.scatter_add_(1, said, surplus.new_full(said.shape, -1.0))
            gradients.add(rows, surplus.mul_(known[:, None]), x, weight)
    losses = torch.cat(each) if each else states.new_zeros(0, dtype=torch.float32)
    of_sum = (None,) * 3 if gradients is None else (gradients.states, gradients.weight, gradients.bias)
    return Found(losses, torch.cat(best), of_sum)
