"""Rotary positions of V-JEPA 2: one table of angles for all layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class VJEPA2Rotary(nn.Module):
    """Turns pairs of numbers of queries and keys by angles of their place in time, height and width.

    transformers computes the angles again in each layer, by a hundred small operations, and in the format
    of the queries: in bfloat16 they are the less exact the longer the clip. Here they are computed once, in
    float32. Of queries in float32 the result is equal to the last bit.

    Args:
        attention: Of one of the layers, which all have the same positions.
        tokens: N, the number of tokens of a clip.
    """

    def __init__(self, attention: Any, tokens: int) -> None:
        super().__init__()
        places = attention.get_position_ids(torch.empty(1, tokens, 0))
        widths = (attention.d_dim, attention.h_dim, attention.w_dim)
        angles = [_angles(at, width) for at, width in zip(places, widths, strict=True)]
        rest = torch.zeros(tokens, attention.attention_head_size - sum(widths))  # is not turned
        table = torch.cat([*angles, rest], dim=-1)  # [N, d]
        sign = torch.ones(table.shape[1])
        sign[0::2] = -1.0
        self.cos: Tensor
        self.sin: Tensor
        self.register_buffer("cos", table.cos(), persistent=False)
        self.register_buffer("sin", table.sin() * sign, persistent=False)

    def forward(self, x: Tensor, _: Any = None) -> Tensor:
        """Turn queries or keys ``[B, heads, N, d]``."""
        swapped = x.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)  # (a, b) → (b, a)
        return x * self.cos.to(x.dtype) + swapped * self.sin.to(x.dtype)


def _angles(place: Tensor, width: int) -> Tensor:
    """Angles ``[N, width]`` of places ``[N]``: position / 10,000^(2i / width), all of them twice over."""
    half = width // 2
    frequencies = 1.0 / 10_000 ** (torch.arange(half) / (width / 2))
    return (place.unsqueeze(-1) * frequencies).repeat(1, 2)


def share_rotary(encoder: nn.Module, tokens: int) -> VJEPA2Rotary:
    """Have all attentions of a V-JEPA 2 encoder take their positions from one table, which is returned."""
    layers: Any = encoder.layer
    rotary = VJEPA2Rotary(layers[0].attention, tokens)
    for layer in layers:
        layer.attention.__dict__["get_position_ids"] = _no_positions
        layer.attention.__dict__["apply_rotary_embeddings"] = rotary
    return rotary


def _no_positions(*_: Any, **__: Any) -> None:
    """What the table makes unnecessary."""
