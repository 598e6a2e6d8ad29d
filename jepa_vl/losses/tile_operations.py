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
        grad: ``[R, C]``, ∂/∂xᵢⱼ times 1 / |tⱼ|, until the next tile.
        to_bias: ∂/∂b, a scalar.
    """

    row: Tensor
    top: Tensor
    top_other: Tensor
    grad: Tensor
    to_bias: Tensor


class TileOperations(ABC):
    """All of a pass over a similarity matrix but its products. Logits x are s pᵢ·tⱼ.

    What is given as logits still has columns of length |tⱼ|, may have any row stride, and is written over.
    """

    @abstractmethod
    def room(self, rows: int, columns: int) -> Tensor:
        """Return memory for a tile ``[R, C]``, the same for every tile."""

    @abstractmethod
    def reduce(
        self,
        logits: Tensor,
        inverse: Tensor,
        row_label: Tensor,
        column_label: Tensor,
        weight: Tensor,
        *,
        keep: bool,
    ) -> Reduced:
        """Reduce a tile in both directions.

        Args:
            logits: ``[R, C]``.
            inverse: ``[C]``, 1 / |tⱼ|.
            row_label: ``[R]``.
            column_label: ``[C]``.
            weight: ``[C]``, by which a column counts in its rows' sums.
            keep: Leave in ``logits`` what `gradient` takes as kept.
        """

    @abstractmethod
    def gradient(
        self,
        logits: Tensor,
        inverse: Tensor,
        row_label: Tensor,
        column_label: Tensor,
        weight: Tensor,
        row: Tensor,
        column: Tensor,
        row_grad: Tensor,
        column_grad: Tensor,
        *,
        kept: bool,
    ) -> Tensor:
        """Return ∂/∂xᵢⱼ of both directions times 1 / |tⱼ|, ``[R, C]``, until the next tile.

        Args:
            logits: ``[R, C]``, in `room` unless kept.
            inverse: ``[C]``, 1 / |tⱼ|.
            row_label: ``[R]``.
            column_label: ``[C]``.
            weight: ``[C]``, already times ``inverse``.
            row: ``[R]``, log-sum-exp of each row over all tiles.
            column: ``[C]``, the same of each column.
            row_grad: ``[R]``, gradient of ``row``.
            column_grad: ``[C]``, gradient of ``column``, already times ``inverse``.
            kept: Whether `reduce` kept them.
        """

    @abstractmethod
    def log_sigmoid(
        self, logits: Tensor, inverse: Tensor, row_label: Tensor, column_label: Tensor, bias: Tensor
    ) -> Signed:
        """Sum a tile's -log σ, with its gradient.

        Args:
            logits: ``[R, C]``, in `room`.
            inverse: ``[C]``, 1 / |tⱼ|.
            row_label: ``[R]``.
            column_label: ``[C]``.
            bias: b, a scalar.
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

    def reduce(
        self,
        logits: Tensor,
        inverse: Tensor,
        row_label: Tensor,
        column_label: Tensor,
        weight: Tensor,
        *,
        keep: bool,
    ) -> Reduced:
        """Reduce a tile in both directions; what it keeps is kept anyhow."""
        _, spare = self._scratch.tiles(*logits.shape)
        top = logits.mul_(inverse).amax(dim=1)
        logits.add_(same_label(row_label, column_label, spare), alpha=FAR)
        high = logits.amax(dim=1)
        row = high + (exp_(torch.sub(logits, high[:, None], out=spare)) @ weight).log()
        column_high = logits.amax(dim=0)
        terms = exp_(torch.sub(logits, column_high, out=spare))
        return Reduced(row, column_high + terms.sum(dim=0).log(), top, high)

    def gradient(
        self,
        logits: Tensor,
        inverse: Tensor,
        row_label: Tensor,
        column_label: Tensor,
        weight: Tensor,
        row: Tensor,
        column: Tensor,
        row_grad: Tensor,
        column_grad: Tensor,
        *,
        kept: bool,
    ) -> Tensor:
        """Return ∂/∂xᵢⱼ of both directions times 1 / |tⱼ|."""
        spare, grad = self._scratch.tiles(*logits.shape)  # the first is the logits' own, unless kept
        if not kept:
            logits.mul_(inverse).add_(same_label(row_label, column_label, grad), alpha=FAR)
        exp_(torch.sub(logits, row[:, None], out=grad)).mul_(row_grad[:, None]).mul_(weight)
        return grad.addcmul_(exp_(torch.sub(logits, column, out=spare)), column_grad)

    def log_sigmoid(
        self, logits: Tensor, inverse: Tensor, row_label: Tensor, column_label: Tensor, bias: Tensor
    ) -> Signed:
        """Sum a tile's -log σ, with its gradient."""
        _, spare = self._scratch.tiles(*logits.shape)
        top = logits.mul_(inverse).amax(dim=1)
        top_other = same_label(row_label, column_label, spare).mul_(FAR).add_(logits).amax(dim=1)
        sign = same_label(row_label, column_label, spare).mul_(-2).add_(1)  # -z
        logits.add_(bias).mul_(sign).clamp_(min=FLOOR[logits.dtype])
        row = F.softplus(logits, threshold=80).sum(dim=1)
        grad = logits.sigmoid_().mul_(sign)
        to_bias = grad.sum()
        return Signed(row, top, top_other, grad.mul_(inverse), to_bias)


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
