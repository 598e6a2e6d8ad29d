"""Triton kernels: all that is done number by number with a tile of logits, in one pass over it on a GPU."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from jepa_vl.losses.tiles import FAR

ROWS, COLUMNS = 32, 256  # of the block of a tile that one program has


def reduce_tile(
    logits: Tensor, inverse: Tensor, row_label: Tensor, column_label: Tensor, weight: Tensor, *, keep: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Reduce a tile of s pᵢ·tⱼ |tⱼ| along both directions.

    Args:
        logits: Float32 ``[R, C]``, any row stride; its columns are still of length |tⱼ|.
        inverse: ``[C]``, 1 / |tⱼ|.
        row_label: ``[R]``.
        column_label: ``[C]``.
        weight: ``[C]``, by which a column counts in its rows' sums.
        keep: Whether the logits become s pᵢ·tⱼ, with `FAR` added where row and column are of one group.

    Returns:
        Log-sum-exp of each row and of each column over other groups, and each row's highest logit of all
        and of other groups: ``[R]``, ``[C]``, ``[R]``, ``[R]``.
    """
    rows, columns = logits.shape
    across, down = triton.cdiv(columns, COLUMNS), triton.cdiv(rows, ROWS)
    row, top, top_other = logits.new_empty(3, across, rows)
    column = logits.new_empty(down, columns)
    _reduce[(down, across)](
        logits, inverse, row_label, column_label, weight, row, top, top_other, column,
        rows, columns, logits.stride(0), far=FAR, keep=keep, block_rows=ROWS, block_columns=COLUMNS,
        num_warps=8,
    )  # fmt: skip
    return row.logsumexp(0), column.logsumexp(0), top.amax(0), top_other.amax(0)


def gradient_of_tile(
    logits: Tensor,
    out: Tensor,
    row_label: Tensor,
    column_label: Tensor,
    inverse: Tensor,
    weight: Tensor,
    row: Tensor,
    column: Tensor,
    row_grad: Tensor,
    column_grad: Tensor,
    *,
    kept: bool,
) -> None:
    """Write ∂/∂(s pᵢ·tⱼ) of both directions, times 1 / |tⱼ|.

    Args:
        logits: Float32 ``[R, C]``, as `reduce_tile` takes them, or as it keeps them.
        out: ``[R, C]``; may be ``logits``.
        row_label: ``[R]``.
        column_label: ``[C]``.
        inverse: ``[C]``, 1 / |tⱼ|.
        weight: ``[C]``, already times ``inverse``.
        row: ``[R]``, log-sum-exp of each row over all tiles.
        column: ``[C]``, the same of each column.
        row_grad: ``[R]``, gradient of ``row``.
        column_grad: ``[C]``, gradient of ``column``, already times ``inverse``.
        kept: Whether they are as `reduce_tile` keeps them.
    """
    rows, columns = logits.shape
    grid = (triton.cdiv(rows, ROWS), triton.cdiv(columns, COLUMNS))
    _gradient[grid](
        logits, out, row_label, column_label, inverse, weight, row, column, row_grad, column_grad,
        rows, columns, logits.stride(0), out.stride(0), far=FAR, kept=kept, block_rows=ROWS,
        block_columns=COLUMNS, num_warps=8,
    )  # fmt: skip


@triton.jit
def _reduce(  # type: ignore[no-untyped-def]
    logits, inverse, row_label, column_label, weight, row, top, top_other, column,
    rows, columns, stride,
    far: tl.constexpr, keep: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    j = tl.program_id(1) * block_columns + tl.arange(0, block_columns)
    in_rows, in_columns = i < rows, j < columns
    inside = in_rows[:, None] & in_columns[None, :]
    place = i[:, None].to(tl.int64) * stride + j[None, :]
    x = tl.load(logits + place, mask=inside, other=0.0)
    x = x * tl.load(inverse + j, mask=in_columns, other=0.0)[None, :]
    nothing = 2 * far
    highest = tl.max(tl.where(in_columns[None, :], x, nothing), axis=1)
    same = (
        tl.load(row_label + i, mask=in_rows, other=-1.0)[:, None]
        == tl.load(column_label + j, mask=in_columns, other=-2.0)[None, :]
    )
    x = tl.where(same, x + far, x)
    if keep:
        tl.store(logits + place, x, mask=inside)
    x = tl.where(inside, x, nothing)
    w = tl.load(weight + j, mask=in_columns, other=0.0)
    row_high = tl.max(x, axis=1)
    row_sum = tl.sum(tl.exp(x - row_high[:, None]) * w[None, :], axis=1)
    column_high = tl.max(x, axis=0)
    column_sum = tl.sum(tl.exp(x - column_high[None, :]), axis=0)
    of_row = tl.program_id(1) * rows + i
    tl.store(row + of_row, row_high + tl.log(row_sum), mask=in_rows)
    tl.store(top + of_row, highest, mask=in_rows)
    tl.store(top_other + of_row, row_high, mask=in_rows)
    tl.store(column + tl.program_id(0) * columns + j, column_high + tl.log(column_sum), mask=in_columns)


@triton.jit
def _gradient(  # type: ignore[no-untyped-def]
    logits, out, row_label, column_label, inverse, weight, row, column, row_grad, column_grad,
    rows, columns, stride, out_stride,
    far: tl.constexpr, kept: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    j = tl.program_id(1) * block_columns + tl.arange(0, block_columns)
    in_rows, in_columns = i < rows, j < columns
    inside = in_rows[:, None] & in_columns[None, :]
    far_down = i[:, None].to(tl.int64)
    x = tl.load(logits + far_down * stride + j[None, :], mask=inside, other=far)
    if not kept:
        x = x * tl.load(inverse + j, mask=in_columns, other=0.0)[None, :]
        same = (
            tl.load(row_label + i, mask=in_rows, other=-1.0)[:, None]
            == tl.load(column_label + j, mask=in_columns, other=-2.0)[None, :]
        )
        x = tl.where(same, x + far, x)
    by_row = tl.exp(x - tl.load(row + i, mask=in_rows, other=0.0)[:, None])
    by_row = by_row * tl.load(row_grad + i, mask=in_rows, other=0.0)[:, None]
    by_row = by_row * tl.load(weight + j, mask=in_columns, other=0.0)[None, :]
    by_column = tl.exp(x - tl.load(column + j, mask=in_columns, other=0.0)[None, :])
    by_column = by_column * tl.load(column_grad + j, mask=in_columns, other=0.0)[None, :]
    tl.store(out + far_down * out_stride + j[None, :], by_row + by_column, mask=inside)
