"""`log_sum_exps` on a GPU: products by its library, all else of a tile in one kernel of ours."""

from __future__ import annotations

import torch
from torch import Tensor

from jepa_vl.losses.fused_tiles import gradient_of_tile, reduce_tile
from jepa_vl.losses.tiles import FAR, inverse_norm, remove_radial_, spans


def forward(
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
    """Do what the operator of the same arguments does, for contiguous float32."""
    size, width = predicted.shape[0], target.shape[0]
    row, own = predicted.new_empty(size), predicted.new_empty(size)
    nearest = torch.empty(size, dtype=torch.bool, device=predicted.device)
    inverse, row_scale = inverse_norm(target), inverse_norm(predicted) * scale
    column = predicted.new_full((width,), 2 * FAR)
    kept = predicted.new_empty(size, keep)
    room = predicted.new_empty(min(chunk, size), min(chunk, width))
    for i in spans(size, chunk):
        x = predicted[i] * row_scale[i, None]  # [R, E]
        mine = slice(first + i.start, first + i.stop)
        own[i] = (x * target[mine]).sum(dim=1) * inverse[mine]
        row[i] = 2 * FAR
        top, top_other = predicted.new_full((2, len(x)), 2 * FAR)
        for j in spans(width, chunk):
            keeps = j.stop <= keep
            logits = kept[i, j] if keeps else room[: len(x), : j.stop - j.start]  # [R, C]
            torch.mm(x, target[j].T, out=logits)
            sums = reduce_tile(logits, inverse[j], row_label[i], column_label[j], weight[j], keep=keeps)
            row[i] = torch.logaddexp(row[i], sums[0])
            column[j] = torch.logaddexp(column[j], sums[1])
            top, top_other = torch.maximum(top, sums[2]), torch.maximum(top_other, sums[3])
        nearest[i] = top > top_other
    return row, column, own, nearest, kept


def backward(
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
    """Do what the operator of the same arguments does, for contiguous float32."""
    to_predicted, to_target = torch.zeros_like(predicted), torch.zeros_like(target)
    to_scale = predicted.new_zeros(())
    inverse, row_inverse = inverse_norm(target), inverse_norm(predicted)
    # the products below are with columns of any length
    weight, column_grad = weight * inverse, column_grad * inverse
    room = predicted.new_empty(min(chunk, len(predicted)), min(chunk, len(target)))
    for i in spans(len(predicted), chunk):
        x, out = predicted[i] * (row_inverse[i, None] * scale), to_predicted[i]  # [R, E]
        for j in spans(len(target), chunk):
            grad = room[: len(x), : j.stop - j.start]  # [R, C]
            was_kept = j.stop <= kept.shape[1]
            logits = kept[i, j] if was_kept else torch.mm(x, target[j].T, out=grad)
            gradient_of_tile(
                logits, grad, row_label[i], column_label[j], inverse[j], weight[j], row[i], column[j],
                row_grad[i], column_grad[j], kept=was_kept,
            )  # fmt: skip
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
