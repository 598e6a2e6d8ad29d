"""Log-sum-exps over the rows and the columns of a similarity matrix in one pass, with their gradient."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from jepa_vl.losses.pairs import Pairs
from jepa_vl.losses.tile_operations import Side, Tile, operations_for
from jepa_vl.losses.tiles import FAR, chunk_for, inverse_norm, product_flops, remove_radial_, spans

KEPT = 5120  # numbers a row that the backward pass may hold: its gradient, and logits not computed again


class LogSumExps(NamedTuple):
    """What each row and each column has to do with those of other groups.

    Attributes:
        row: ``[B]``, log Σⱼ wⱼ exp(s pᵢ·tⱼ) over the columns j of other groups.
        column: ``[W·B]``, log Σᵢ exp(s pᵢ·tⱼ) over the local rows i of other groups.
        own: ``[B]``, s pᵢ·tᵢ.
        nearest: bool ``[B]``, whether a row's most similar column is of its own group; a tie with another
            group counts as a miss, so that equal embeddings find nothing.
    """

    row: Tensor
    column: Tensor
    own: Tensor
    nearest: Tensor


def log_sum_exps(
    predicted: Tensor, target: Tensor, scale: Tensor, pairs: Pairs, weight: Tensor, *, chunk: int | None
) -> LogSumExps:
    """Reduce the logits s pᵢ·tⱼ of local rows and gathered columns, which never exist as a whole.

    Forward: one matrix product, in tiles of ``chunk`` × ``chunk`` of which both directions are taken, with
    running maxima. Backward: each tile is computed again, and with G = ∂/∂(s pᵢ·tⱼ), the sum of both
    directions, the gradients are s G t and s Gᵀ p: three products. Four products in all are 8 B·WB·E
    operations, where autograd over both matrices takes six products and keeps four B × WB matrices.
    What is kept for the backward pass are the inputs, B + WB numbers, and of each row all its logits where
    they are at most `KEPT` (20 KiB), else `KEPT` − E of them: they save up to one of the four products. A GPU
    keeps all or none, and does what is between the products by one Triton kernel a tile.

    Args:
        predicted: ``[B, E]``, the local rows, of any length; p are the unit vectors along them.
        target: ``[W·B, E]``, the columns of all ranks, t along them.
        scale: s, a scalar.
        pairs: Which columns are a row's own and its group's.
        weight: w, ``[W·B]``.
        chunk: Most rows and columns of a tile; None for what suits the device.
    """
    size = chunk_for(predicted, chunk)
    wanted = torch.is_grad_enabled() and any(x.requires_grad for x in (predicted, target, scale))
    beside_gradient = max(KEPT - predicted.shape[1], 0) if predicted.device.type == "cpu" else 0
    some = beside_gradient // size * size  # whole tiles
    kept = len(target) if len(target) <= KEPT else some
    inputs = (predicted, target, scale, pairs.row, pairs.column, weight)
    *sums, _ = _forward(*inputs, pairs.own.start, size, kept if wanted else 0)
    return LogSumExps(*sums)


# Custom operators, and not a torch.autograd.Function: torch.compile takes each as one node of its graph, and
# does not unroll the loops over tiles.
@torch.library.custom_op("jepa_vl::log_sum_exps", mutates_args=())
def _forward(
    predicted: Tensor,
    target: Tensor,
    scale: Tensor,
    row_label: Tensor,
    column_label: Tensor,
    weight: Tensor,
    first: int,
    chunk: int,
    keep: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    row_label, column_label = row_label.to(predicted.dtype), column_label.to(predicted.dtype)
    size, width = len(predicted), len(target)
    row, own = predicted.new_empty(size), predicted.new_empty(size)
    nearest = torch.empty(size, dtype=torch.bool, device=predicted.device)
    inverse, row_scale = inverse_norm(target), inverse_norm(predicted) * scale
    column = predicted.new_full((width,), 2 * FAR)
    kept = predicted.new_empty(size, keep)
    tiles = operations_for(predicted, min(chunk, size), min(chunk, width))
    for i in spans(size, chunk):
        x = predicted[i] * row_scale[i, None]  # [R, E]
        mine = slice(first + i.start, first + i.stop)
        own[i] = (x * target[mine]).sum(dim=1) * inverse[mine]
        row[i] = 2 * FAR
        top, top_other = predicted.new_full((2, len(x)), 2 * FAR)
        for j in spans(width, chunk):
            keeps = j.stop <= keep
            logits = kept[i, j] if keeps else tiles.room(len(x), j.stop - j.start)  # [R, C]
            torch.mm(x, target[j].T, out=logits)
            tile = Tile(logits, inverse[j], row_label[i], column_label[j])
            found = tiles.reduce(tile, weight[j], keep=keeps)
            row[i] = torch.logaddexp(row[i], found.row)
            column[j] = torch.logaddexp(column[j], found.column)
            top, top_other = torch.maximum(top, found.top), torch.maximum(top_other, found.top_other)
        nearest[i] = top > top_other
    return row, column, own, nearest, kept


@torch.library.custom_op("jepa_vl::log_sum_exps_backward", mutates_args=())
def _backward(
    row_grad: Tensor,
    column_grad: Tensor,
    own_grad: Tensor,
    predicted: Tensor,
    target: Tensor,
    scale: Tensor,
    row_label: Tensor,
    column_label: Tensor,
    weight: Tensor,
    row: Tensor,
    column: Tensor,
    kept: Tensor,
    first: int,
    chunk: int,
) -> tuple[Tensor, Tensor, Tensor]:
    row_label, column_label = row_label.to(predicted.dtype), column_label.to(predicted.dtype)
    to_predicted, to_target = torch.zeros_like(predicted), torch.zeros_like(target)
    to_scale = predicted.new_zeros(())
    inverse, row_inverse = inverse_norm(target), inverse_norm(predicted)
    # the products below are with columns of any length
    weight, column_grad = weight * inverse, column_grad * inverse
    tiles = operations_for(predicted, min(chunk, len(predicted)), min(chunk, len(target)))
    for i in spans(len(predicted), chunk):
        x, out = predicted[i] * (row_inverse[i, None] * scale), to_predicted[i]  # [R, E]
        for j in spans(len(target), chunk):
            was_kept = j.stop <= kept.shape[1]
            logits = kept[i, j] if was_kept else tiles.room(len(x), j.stop - j.start)  # [R, C]
            if not was_kept:
                torch.mm(x, target[j].T, out=logits)
            tile = Tile(logits, inverse[j], row_label[i], column_label[j])
            rows, columns = Side(row[i], row_grad[i]), Side(column[j], column_grad[j])
            grad = tiles.gradient(tile, weight[j], rows, columns, kept=was_kept)
            out.addmm_(grad, target[j])
            to_target[j].addmm_(grad.T, x)
        mine = slice(first + i.start, first + i.stop)
        own = (own_grad[i] * inverse[mine])[:, None]
        out.addcmul_(target[mine], own)
        to_target[mine].addcmul_(x, own)
        out.mul_(row_inverse[i, None])
        to_scale += (out * predicted[i]).sum()
        remove_radial_(out.mul_(scale), predicted[i], row_inverse[i])
    for j in spans(len(target), chunk):
        remove_radial_(to_target[j], target[j], inverse[j])
    return to_predicted, to_target, to_scale.to(scale.dtype)


@_forward.register_fake
def _(
    predicted: Tensor,
    target: Tensor,
    scale: Tensor,
    row_label: Tensor,
    column_label: Tensor,
    weight: Tensor,
    first: int,
    chunk: int,
    keep: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    size = len(predicted)
    row, column, own = (predicted.new_empty(n) for n in (size, len(target), size))
    nearest = torch.empty(size, dtype=torch.bool, device=predicted.device)
    return row, column, own, nearest, predicted.new_empty(size, keep)


@_backward.register_fake
def _(
    row_grad: Tensor,
    column_grad: Tensor,
    own_grad: Tensor,
    predicted: Tensor,
    target: Tensor,
    scale: Tensor,
    *_: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(predicted), torch.empty_like(target), torch.empty_like(scale)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.first, ctx.chunk, _ = inputs
    row, column, _, _, kept = output
    ctx.set_materialize_grads(False)  # nobody needs a matrix of zeros for the kept logits
    ctx.save_for_backward(*tensors, row, column, kept)


def _gradient(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    *_, row, column, _ = ctx.saved_tensors
    wanted = [
        torch.zeros_like(x) if grad is None else grad
        for grad, x in zip(grads[:3], (row, column, row), strict=True)
    ]
    to_predicted, to_target, to_scale = _backward(*wanted, *ctx.saved_tensors, ctx.first, ctx.chunk)
    return to_predicted, to_target, to_scale, *[None] * 6


_forward.register_autograd(_gradient, setup_context=_keep)


# What is computed a second time to save memory does not count.
@register_flop_formula(torch.ops.jepa_vl.log_sum_exps)
def _flops(predicted: torch.Size, target: torch.Size, *_: Any, **__: Any) -> int:
    return product_flops(predicted, target)


@register_flop_formula(torch.ops.jepa_vl.log_sum_exps_backward)
def _backward_flops(
    row: torch.Size,
    column: torch.Size,
    own: torch.Size,
    predicted: torch.Size,
    target: torch.Size,
    *_: Any,
    **__: Any,
) -> int:
    return 2 * product_flops(predicted, target)
