"""Similarity matrices tile by tile, so that memory grows with the batch and not with its square."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from jepa_vl.errors import RecipeError

FAR = -1e30  # a logit that counts for nothing, and that can be reckoned with as -inf cannot

#: Exponents are kept well above those of subnormal numbers, which cost a processor 40 times the time.
FLOOR = {dtype: 0.75 * math.log(torch.finfo(dtype).tiny) for dtype in (torch.float32, torch.float64)}

_ON_CPU, _ELSEWHERE = 512, 4096  # a float32 tile of 1 MiB for a processor's cache, of 64 MiB to fill a GPU


def check_chunk(chunk: int | None) -> int | None:
    """Return ``chunk``, the most rows and columns of a tile; None for the device's own.

    Raises:
        RecipeError: It is below 1.
    """
    if chunk is not None and chunk < 1:
        raise RecipeError(f"loss.chunk must be 1 or more, or null, got {chunk}")
    return chunk


def chunk_for(x: Tensor, chunk: int | None) -> int:
    """Return ``chunk``, or where it is None what suits the device of ``x``."""
    return chunk or (_ON_CPU if x.device.type == "cpu" else _ELSEWHERE)


def product_flops(predicted: torch.Size, target: torch.Size) -> int:
    """Operations of one product of all rows ``[B, E]`` with all columns ``[C, E]``."""
    return 2 * predicted[0] * target[0] * target[1]


def spans(size: int, chunk: int) -> Iterator[slice]:
    """Yield consecutive slices of at most ``chunk`` that cover ``size``."""
    for start in range(0, size, chunk):
        yield slice(start, min(start + chunk, size))


class Scratch:
    """Memory of two tiles, used again for every tile: a processor pays for each page of new memory.

    Args:
        like: A tensor of the dtype and device.
        rows: Most rows of a tile.
        columns: Most columns of a tile.
    """

    def __init__(self, like: Tensor, rows: int, columns: int) -> None:
        self._flat = like.new_empty(2, rows * columns)

    def tiles(self, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """Return both as ``[R, C]``, whatever is in them."""
        first, second = self._flat[:, : rows * columns].view(2, rows, columns).unbind()
        return first, second


def same_label(row: Tensor, column: Tensor, out: Tensor) -> Tensor:
    """1 where row and column have one label and 0 elsewhere, ``[R], [C] → [R, C]``, all of one dtype."""
    # numbers and not truth values: a processor compares and adds them several times as fast
    return torch.eq(row[:, None], column, out=out)


def exp_(x: Tensor) -> Tensor:
    """Exponentiate in place; results below e^`FLOOR`, far below the rounding error of 1, are raised to it."""
    return x.clamp_(min=FLOOR[x.dtype]).exp_()


def inverse_norm(x: Tensor) -> Tensor:
    """1 / |xᵢ|, ``[R, E] → [R]``; a row of zeros stays one of zeros when it is scaled by it."""
    return x.norm(dim=1).clamp_min(1e-12).reciprocal()


def remove_radial_(grad: Tensor, x: Tensor, inverse: Tensor) -> Tensor:
    """Turn 1/|xᵢ| ∂/∂(xᵢ/|xᵢ|) into ∂/∂xᵢ ``[R, E]``, in place: the length of xᵢ does not matter."""
    along = (grad * x).sum(dim=1) * inverse.square()
    return grad.addcmul_(x, along[:, None], value=-1)
