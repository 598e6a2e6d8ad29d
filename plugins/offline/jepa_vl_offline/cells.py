"""Feature maps of frames → tokens: one grid for all maps, and frames merged into tubelets."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def to_grid(maps: Tensor, grid: int) -> Tensor:
    """Bring maps ``[F, c, s, s]`` to ``[F, c', grid, grid]`` without losing or inventing anything.

    A finer map is folded, space to depth: a cell holds the k×k places it covers, k = s / grid, side by
    side in c' = c·k² channels, so that position within the cell is kept. A coarser one is repeated.

    Raises:
        ValueError: Neither of s and ``grid`` is a multiple of the other.
    """
    size = maps.shape[-1]
    if size % grid == 0:
        return F.pixel_unshuffle(maps, size // grid)
    if grid % size == 0:
        return F.interpolate(maps, scale_factor=grid // size, mode="nearest")
    raise ValueError(f"a map of {size}×{size} places cannot be brought to {grid}×{grid} cells")


def merge_frames(cells: Tensor, tubelet: int, *, difference: bool) -> Tensor:
    """Merge each ``tubelet`` frames' cells into one token, along channels.

    Args:
        cells: ``[B, T, G, G, c]``, T a multiple of ``tubelet``.
        tubelet: Frames in a token, as in V-JEPA 2, which has 2.
        difference: Give the frames after a tubelet's first as differences to the frame before, so that
            motion is what they say.

    Returns:
        Tokens ``[B, N, D]``, N = T/tubelet·G·G in the order time, row, column; D = tubelet·c.
    """
    batch, frames, rows, columns, width = cells.shape
    tubes = cells.view(batch, frames // tubelet, tubelet, rows, columns, width)
    if difference:
        tubes = torch.cat([tubes[:, :, :1], tubes[:, :, 1:] - tubes[:, :, :-1]], dim=2)
    # [B, T/t, t, G, G, c] → [B, T/t, G, G, t, c]
    return tubes.permute(0, 1, 3, 4, 2, 5).reshape(batch, -1, tubelet * width)
