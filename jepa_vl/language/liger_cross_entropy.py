"""`linear_cross_entropy` by Liger's kernels, on a GPU where liger-kernel is installed."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor

log = logging.getLogger(__name__)

WORDS = frozenset({"compute_gradients", "weight_requires_grad", "chunk_mem_const", "return_predicted_tokens"})
NO_TOKEN = -100
NOWHERE = -2  # the likeliest place beside a token that cannot be said; no place is equal to it


class Found(NamedTuple):
    """What the kernels find in one pass.

    Attributes:
        each: Float32 ``[n]``.
        likeliest: int64 ``[n]``, or empty.
        gradients: Of the sum, by states ``[n, d]``, weight ``[V, d]`` and bias ``[V]``, where needed.
    """

    each: Tensor
    likeliest: Tensor
    gradients: tuple[Tensor | None, Tensor | None, Tensor | None]


def can_take(states: Tensor, weight: Tensor) -> bool:
    """Whether these are for the kernels: some tokens, on a GPU, in formats that they know."""
    known = all(x.dtype in (torch.float32, torch.bfloat16, torch.float16) for x in (states, weight))
    return states.is_cuda and known and len(states) > 0 and kernels() is not None


@cache
def kernels() -> Callable[..., Any] | None:
    """Liger's forward pass; None where liger-kernel is not installed, or is an older one."""
    if find_spec("liger_kernel") is None:
        return None
    from liger_kernel.ops import fused_linear_cross_entropy_forward

    if missing := WORDS - inspect.signature(fused_linear_cross_entropy_forward).parameters.keys():
        log.warning("liger-kernel is not used: it lacks %s; update to 0.8.5", ", ".join(sorted(missing)))
        return None
    forward: Callable[..., Any] = fused_linear_cross_entropy_forward
    return forward


@torch.no_grad()
def by_kernels(
    states: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    places: Tensor,
    *,
    likeliest: bool,
    needed: tuple[bool, bool, bool],
    scores_at_once: int,
) -> Found:
    """Return what each token costs, and the gradients of the sum.

    Args:
        states: ``[n, d]``, n > 0.
        weight: ``[V, d]``, in the states' format.
        bias: ``[V]`` or None, likewise.
        places: int64 ``[n]``; a negative one cannot be said.
        likeliest: Whether the places of the highest scores are wanted.
        needed: Whether states, weight and bias need a gradient.
        scores_at_once: Most numbers of a chunk of scores, about.
    """
    forward = kernels()
    assert forward is not None
    unsaid = places < 0
    budget = max(1, scores_at_once // states.numel())
    each, _, _, best, to_states, to_weight, to_bias = forward(
        states.contiguous(),
        weight.contiguous(),
        places.masked_fill(unsaid, NO_TOKEN),
        bias=bias,
        ignore_index=NO_TOKEN,
        reduction="none",  # with gradients all the same: those of the sum
        accum_dtype=torch.float32,
        return_predicted_tokens=likeliest,
        compute_gradients=any(needed),
        weight_requires_grad=needed[1],
        chunk_mem_const=budget,
    )
    to_states, to_weight, to_bias = (
        g.float() if wanted and g is not None else None
        for g, wanted in zip((to_states, to_weight, to_bias), needed, strict=True)
    )
    likeliest_places = best.masked_fill(unsaid, NOWHERE) if likeliest else places.new_zeros(0)
    return Found(each.masked_fill(unsaid, torch.inf), likeliest_places, (to_states, to_weight, to_bias))
