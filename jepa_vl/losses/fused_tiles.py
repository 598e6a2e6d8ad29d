"""Triton kernels: all that is done number by number with a tile of logits, in one pass over it on a GPU."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from jepa_vl.losses.tile_operations import Reduced, Side, Signed, Tile, TileOperations
from jepa_vl.losses.tiles import FAR

ROWS, COLUMNS = 32, 256  # of the block of a tile that one program has
WARPS = 8


class FusedTiles(TileOperations):
    """By one kernel a tile, for contiguous float32 on a GPU.

    Args:
        like: A tensor of the dtype and device.
        rows: Most rows of a tile.
        columns: Most columns of a tile.
    """

    def __init__(self, like: Tensor, rows: int, columns: int) -> None:
        self._room = like.new_empty(rows, columns)

    def room(self, rows: int, columns: int) -> Tensor:
        """Return memory for a tile ``[R, C]``."""
        return self._room[:rows, :columns]

    def reduce(self, tile: Tile, weight: Tensor, *, keep: bool) -> Reduced:
        """Reduce a tile in both directions."""
        logits, inverse, row_label, column_label = tile
        rows, columns = logits.shape
        across, down = triton.cdiv(columns, COLUMNS), triton.cdiv(rows, ROWS)
        row, top, top_other = logits.new_empty(3, across, rows)
        column = logits.new_empty(down, columns)
        _reduce[(down, across)](
            logits, inverse, row_label, column_label, weight, row, top, top_other, column,
            rows, columns, logits.stride(0), far=FAR, keep=keep, block_rows=ROWS, block_columns=COLUMNS,
            num_warps=WARPS,
        )  # fmt: skip
        return Reduced(row.logsumexp(0), column.logsumexp(0), top.amax(0), top_other.amax(0))

    def gradient(self, tile: Tile, weight: Tensor, rows: Side, columns: Side, *, kept: bool) -> Tensor:
        """Return ∂/∂xᵢⱼ of both directions times 1 / |tⱼ|."""
        logits, inverse, row_label, column_label = tile
        grid = (triton.cdiv(logits.shape[0], ROWS), triton.cdiv(logits.shape[1], COLUMNS))
        out = self.room(*logits.shape)  # where the logits are too, unless kept
        _gradient[grid](
            logits, out, row_label, column_label, inverse, weight, rows.log_sum_exp, columns.log_sum_exp,
            rows.grad, columns.grad, *logits.shape, logits.stride(0), out.stride(0), far=FAR, kept=kept,
            block_rows=ROWS, block_columns=COLUMNS, num_warps=WARPS,
        )  # fmt: skip
        return out

    def log_sigmoid(self, tile: Tile, bias: Tensor, *, wanted: bool) -> Signed:
        """Sum a tile's -log σ; its gradient comes with the pass, wanted or not."""
        logits, inverse, row_label, column_label = tile
        rows, columns = logits.shape
        across, down = triton.cdiv(columns, COLUMNS), triton.cdiv(rows, ROWS)
        row, top, top_other = logits.new_empty(3, across, rows)
        to_bias = logits.new_empty(across, rows)
        _log_sigmoid[(down, across)](
            logits, inverse, row_label, column_label, bias, row, top, top_other, to_bias,
            rows, columns, logits.stride(0), far=FAR, block_rows=ROWS, block_columns=COLUMNS, num_warps=WARPS,
        )  # fmt: skip
        return Signed(row.sum(0), top.amax(0), top_other.amax(0), to_bias.sum())


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


@triton.jit
def _log_sigmoid(  # type: ignore[no-untyped-def]
    logits, inverse, row_label, column_label, bias, row, top, top_other, to_bias,
    rows, columns, stride,
    far: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    j = tl.program_id(1) * block_columns + tl.arange(0, block_columns)
    in_rows, in_columns = i < rows, j < columns
    inside = in_rows[:, None] & in_columns[None, :]
    place = i[:, None].to(tl.int64) * stride + j[None, :]
    length = tl.load(inverse + j, mask=in_columns, other=0.0)[None, :]
    x = tl.load(logits + place, mask=inside, other=0.0) * length
    same = (
        tl.load(row_label + i, mask=in_rows, other=-1.0)[:, None]
        == tl.load(column_label + j, mask=in_columns, other=-2.0)[None, :]
    )
    highest = tl.max(tl.where(in_columns[None, :], x, 2 * far), axis=1)
    highest_other = tl.max(tl.where(in_columns[None, :], tl.where(same, x + far, x), 2 * far), axis=1)
    x += tl.load(bias)
    x = tl.where(same, -x, x)
    # log(1 + e^x) and its derivative by e^-|x|, which cannot overflow. Of most pairs that is near 0,
    # where 1 + e^-|x| loses digits and three terms of the series are exact to rounding.
    small = tl.exp(-tl.abs(x))
    series = small * (1.0 - small * (0.5 - small / 3.0))
    each = tl.maximum(x, 0.0) + tl.where(small < 1e-2, series, tl.log(1.0 + small))
    slope = tl.where(x > 0, 1.0, small) / (1.0 + small)
    slope = tl.where(inside, tl.where(same, -slope, slope), 0.0)
    tl.store(logits + place, slope * length, mask=inside)
    of_row = tl.program_id(1) * rows + i
    tl.store(row + of_row, tl.sum(tl.where(inside, each, 0.0), axis=1), mask=in_rows)
    tl.store(top + of_row, highest, mask=in_rows)
    tl.store(top_other + of_row, highest_other, mask=in_rows)
    tl.store(to_bias + of_row, tl.sum(slope, axis=1), mask=in_rows)
