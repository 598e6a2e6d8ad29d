"""The projection by which a frozen encoder's tokens enter a transformer."""

from __future__ import annotations

from torch import nn


class VisualProjection(nn.Sequential):
    """Visual tokens ``[B, N, D]`` → ``[B, N, d]``: LayerNorm (encoders differ in scale), linear map."""

    def __init__(self, vision_dim: int, dim: int) -> None:
        super().__init__(nn.LayerNorm(vision_dim), nn.Linear(vision_dim, dim))
