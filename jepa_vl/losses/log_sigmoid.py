"""The sum of a log-sigmoid over all pairs of a similarity matrix in one pass, with its gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from jepa_vl.losses.pairs import Pairs
from jepa_vl.losses.tile_operations import Tile, operations_for
from jepa_vl.losses.tiles import FAR, chunk_for, inverse_norm, product_flops, remove_radial_, spans


def negative_log_sigmoid(
    predicted: Tensor, target: Tensor, scale: Tensor, bias: Tensor, pairs: Pairs, *, chunk: int | None
) -> tuple[Tensor, Tensor]:
    """Sum -log σ(zᵢⱼ (s pᵢ·tⱼ + b)) over local rows and gathered columns; no matrix of them ever exists.

    A pair's gradient does not wait for the others, as it does in a softmax. So it is taken in the forward
    pass, tile by tile: three matrix products in all, as many as autograd over the whole matrix takes. What is
    kept for the backward pass are the gradients of the inputs.

    Args:
        predicted: ``[B, E]``, the local rows p.
        target: ``[W·B, E]``, the columns t of all ranks.
        scale: s, a scalar.
        bias: b, a scalar.
        pairs: z is 1 within a group and -1 elsewhere.
        chunk: Most rows and columns of a tile; None for what suits the device.

    Returns:
        The sum, and bool ``[B]``: whether a row's most similar column is of its own group, where a tie with
        another group counts as a miss.
    """
    inputs = (predicted, target, scale, bias)
    wanted = torch.is_grad_enabled() and any(x.requires_grad for x in inputs)
    total, nearest, *_ = _forward(*inputs, pairs.row, pairs.column, chunk_for(predicted, chunk), wanted)
    return total, nearest


@torch.library.custom_op("jepa_vl::negative_log_sigmoid", mutates_args=())
def _forward(
    predicted: Tensor,
    target: Tensor,
    scale: Tensor,
    bias: Tensor,
    row_label: Tensor,
    column_label: Tensor,
    chunk: int,
    wanted: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    row_label, column_label = row_label.to(predicted.dtype), column_label.to(predicted.dtype)
    total = predicted.new_zeros(len(predicted))
    nearest = torch.empty(len(predicted), dtype=torch.bool, device=predicted.device)
    to_predicted, to_target = torch.zeros_like(predicted), torch.zeros_like(target)
    to_scale, to_bias = predicted.new_zeros(()), predicted.new_zeros(())
    inverse, row_inverse = inverse_norm(target), inverse_norm(predicted)
    tiles = operations_for(predicted, min(chunk, len(predicted)), min(chunk, len(target)))
    for i in spans(len(predicted), chunk):
        x, out = predicted[i] * (row_inverse[i, None] * scale), to_predicted[i]  # [R, E]
        top, top_other = predicted.new_full((2, len(x)), 2 * FAR)
        for j in spans(len(target), chunk):
            logits = tiles.room(len(x), j.stop - j.start)  # [R, C]
            torch.mm(x, target[j].T, out=logits)
            tile = Tile(logits, inverse[j], row_label[i], column_label[j])
            found = tiles.log_sigmoid(tile, bias, wanted=wanted)
            total[i] += found.row
            top, top_other = torch.maximum(top, found.top), torch.maximum(top_other, found.top_other)
            if wanted:
                to_bias += found.to_bias
                out.addmm_(logits, target[j])  # they are their gradient now
                to_target[j].addmm_(logits.T, x)
        nearest[i] = top > top_other
        out.mul_(row_inverse[i, None])
        to_scale += (out * predicted[i]).sum()
        remove_radial_(out.mul_(scale), predicted[i], row_inverse[i])
    for j in spans(len(target), chunk):
        remove_radial_(to_target[j], target[j], inverse[j])
    return total.sum(), nearest, to_predicted, to_target, to_scale.to(scale.dtype), to_bias.to(bias.dtype)


@_forward.register_fake
def _(
    predicted: Tensor, target: Tensor, scale: Tensor, bias: Tensor, *_: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    nearest = torch.empty(len(predicted), dtype=torch.bool, device=predicted.device)
    grads = tuple(torch.empty_like(x) for x in (predicted, target, scale, bias))
    return predicted.new_empty(()), nearest, *grads  # type: ignore[return-value]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*output[2:])


def _gradient(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    total, _, *of_gradients = grads
    if any(grad is not None for grad in of_gradients):
        raise NotImplementedError("the sigmoid loss has no second derivative")
    return *[None if total is None else total * x for x in ctx.saved_tensors], None, None, None, None


_forward.register_autograd(_gradient, setup_context=_keep)


@register_flop_formula(torch.ops.jepa_vl.negative_log_sigmoid)
def _flops(predicted: torch.Size, target: torch.Size, *others: Any, **_: Any) -> int:
    wanted = others[-1]
    return (3 if wanted else 1) * product_flops(predicted, target)
