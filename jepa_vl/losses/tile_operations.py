"""What is done number by number with a tile of a similarity matrix, between the matrix products."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from importlib.util import find_spec
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from jepa_vl.losses.tiles import FAR, FLOOR, Scratch, exp_, same_label


class Tile(NamedTuple):
    """A tile as its product leaves it, and what is known of its rows and columns.

    Attributes:
        logits: ``[R, C]``, s pᵢ·tⱼ with columns still of length |tⱼ|; any row stride. Written over.
        inverse: ``[C]``, 1 / |tⱼ|.
        row_label: ``[R]``, the group of each row.
        column_label: ``[C]``, the group of each column.
    """

    logits: Tensor
    inverse: Tensor
    row_label: Tensor
    column_label: Tensor


class Side(NamedTuple):
    """The rows or the columns of a tile in the backward pass.

    Attributes:
        log_sum_exp: ``[R]`` or ``[C]``, of each over all tiles.
        grad: Its gradient, a column's already times 1 / |tⱼ|.
    """

    log_sum_exp: Tensor
    grad: Tensor


class Reduced(NamedTuple):
    """A tile of logits in both directions.

    Attributes:
        row: ``[R]``, log-sum-exp of each row over the columns of other groups, by their weights.
        column: ``[C]``, the same of each column, all rows alike.
        top: ``[R]``, highest logit of each row.
        top_other: ``[R]``, highest of other groups.
    """

    row: Tensor
    column: Tensor
    top: Tensor
    top_other: Tensor


class Signed(NamedTuple):
    """A tile's part of a log-sigmoid.

    Attributes:
        row: ``[R]``, Σⱼ -log σ(zᵢⱼ (xᵢⱼ + b)), where z is 1 within a group and -1 elsewhere.
        top: ``[R]``, highest logit x of each row.
        top_other: ``[R]``, highest of other groups.
        to_bias: ∂/∂b, a scalar.
    """

    row: Tensor
    top: Tensor
    top_other: Tensor
    to_bias: Tensor


class TileOperations(ABC):
    """All of a pass over a similarity matrix but its products. Logits x are s pᵢ·tⱼ."""

    @abstractmethod
    def room(self, rows: int, columns: int) -> Tensor:
        """Return memory for a tile ``[R, C]``, the same for every tile."""

    @abstractmethod
    def reduce(self, tile: Tile, weight: Tensor, *, keep: bool) -> Reduced:
        """Reduce a tile in both directions.

        Args:
            tile: In any memory.
            weight: ``[C]``, by which a column counts in its rows' sums.
            keep: Leave in the tile's logits what `gradient` takes as kept.
        """

    @abstractmethod
    def gradient(self, tile: Tile, weight: Tensor, rows: Side, columns: Side, *, kept: bool) -> Tensor:
        """Return ∂/∂xᵢⱼ of both directions times 1 / |tⱼ|, ``[R, C]``, until the next tile.

        Args:
            tile: In `room` unless kept.
            weight: ``[C]``, as `reduce` takes it, already times 1 / |tⱼ|.
            rows: Of the tile.
            columns: Of the tile.
            kept: Whether its logits are as `reduce` kept them.
        """

    @abstractmethod
    def log_sigmoid(self, tile: Tile, bias: Tensor, *, wanted: bool) -> Signed:
        """Sum a tile's -log σ.

        Args:
            tile: In `room`.
            bias: b, a scalar.
            wanted: Whether the tile's logits become ∂/∂xᵢⱼ times 1 / |tⱼ|, and ∂/∂b is summed.
        """


class TorchTiles(TileOperations):
    """By torch's operations, in memory of two tiles.

    Args:
        like: A tensor of the dtype and device.
        rows: Most rows of a tile.
        columns: Most columns of a tile.
    """

    def __init__(self, like: Tensor, rows: int, columns: int) -> None:
        self._scratch = Scratch(like, rows, columns)

    def room(self, rows: int, columns: int) -> Tensor:
        """Return memory for a tile ``[R, C]``."""
        return self._scratch.tiles(rows, columns)[0]

    def reduce(self, tile: Tile, weight: Tensor, *, keep: bool) -> Reduced:
        """Reduce a tile in both directions; what it keeps is kept anyhow."""
        logits, inverse, row_label, column_label = tile
        _, spare = self._scratch.tiles(*logits.shape)
        top = logits.mul_(inverse).amax(dim=1)
        logits.add_(same_label(row_label, column_label, spare), alpha=FAR)
        high = logits.amax(dim=1)
        row = high + (exp_(torch.sub(logits, high[:, None], out=spare)) @ weight).log()
        column_high = logits.amax(dim=0)
        terms = exp_(torch.sub(logits, column_high, out=spare))
        return Reduced(row, column_high + terms.sum(dim=0).log(), top, high)

    def gradient(self, tile: Tile, weight: Tensor, rows: Side, columns: Side, *, kept: bool) -> Tensor:
        """Return ∂/∂xᵢⱼ of both directions times 1 / |tⱼ|."""
        logits, inverse, row_label, column_label = tile
        spare, grad = self._scratch.tiles(*logits.shape)  # the first is the logits' own, unless kept
        if not kept:
            logits.mul_(inverse).add_(same_label(row_label, column_label, grad), alpha=FAR)
        exp_(torch.sub(logits, rows.log_sum_exp[:, None], out=grad)).mul_(rows.grad[:, None]).mul_(weight)
        return grad.addcmul_(exp_(torch.sub(logits, columns.log_sum_exp, out=spare)), columns.grad)

    def log_sigmoid(self, tile: Tile, bias: Tensor, *, wanted: bool) -> Signed:
        """Sum a tile's -log σ."""
        logits, inverse, row_label, column_label = tile
        _, spare = self._scratch.tiles(*logits.shape)
        top = logits.mul_(inverse).amax(dim=1)
        top_other = same_label(row_label, column_label, spare).mul_(FAR).add_(logits).amax(dim=1)
        sign = same_label(row_label, column_label, spare).mul_(-2).add_(1)  # -z
        logits.add_(bias).mul_(sign).clamp_(min=FLOOR[logits.dtype])
        row = F.softplus(logits, threshold=80).sum(dim=1)
        to_bias = row.new_zeros(())
        if wanted:
            to_bias = logits.sigmoid_().mul_(sign).sum()
            logits.mul_(inverse)
        return Signed(row, top, top_other, to_bias)


def operations_for(like: Tensor, rows: int, columns: int) -> TileOperations:
    """Return one kernel a tile where there is a GPU, float32 and Triton, else torch's operations.

    Args:
        like: A tensor of the dtype and device.
        rows: Most rows of a tile.
        columns: Most columns of a tile.
    """
    if like.is_cuda and like.dtype == torch.float32 and _has_triton():
        from jepa_vl.losses.fused_tiles import FusedTiles

        return FusedTiles(like, rows, columns)
    return TorchTiles(like, rows, columns)


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None
