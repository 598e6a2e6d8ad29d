"""A pre-norm transformer, causal with a KV cache or bidirectional: predictor and token twin share it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jepa_vl.errors import RecipeError

#: Slowest rotary period, in positions over 2π. Sequences here are of tens to hundreds of positions; with
#: the 10,000 that is usual for long texts, half of the pairs would hardly turn.
ROTARY_BASE = 100.0

#: Keys and values ``[B, heads, P, dim / heads]`` of the P earlier positions, one pair a layer.
KVCache = list[tuple[Tensor, Tensor]]


class Block(nn.Module):
    """Attention and feed-forward layer, each behind a LayerNorm and added to its input.

    Args:
        dim: Width d.
        heads: Attention heads; they divide ``dim``.
        ffn_mult: Width of the feed-forward layer, in multiples of ``dim``.
        dropout: Of attention weights and of what is added to the residual stream.
    """

    def __init__(self, *, dim: int, heads: int, ffn_mult: float, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        hidden = int(dim * ffn_mult)
        self.attention_norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.attention_out = nn.Linear(dim, dim)
        self.ffn_norm = nn.LayerNorm(dim)
        self.ffn_in = nn.Linear(dim, hidden)
        self.ffn_out = nn.Linear(hidden, dim)

    def forward(
        self, x: Tensor, attend: Tensor | None, rotation: Tensor, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run L new positions.

        Args:
            x: ``[B, L, d]``.
            attend: bool, broadcast to ``[B, heads, L, P + L]``; None when all see all.
            rotation: Of the new positions, see `rotations`.
            past: Keys (rotated) and values ``[B, heads, P, d / heads]`` of the P earlier positions.

        Returns:
            ``[B, L, d]``, and keys and values of all P + L positions.
        """
        batch, length, dim = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(batch, length, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each [B, heads, L, d / heads]
        query, key = rotate(query, rotation), rotate(key, rotation)
        if past is not None:
            key = torch.cat((past[0], key), dim=2)  # [B, heads, P + L, d / heads]
            value = torch.cat((past[1], value), dim=2)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=attend, dropout_p=dropout)
        mixed = mixed.transpose(1, 2).reshape(batch, length, dim)
        x = x + F.dropout(self.attention_out(mixed), dropout)
        hidden = F.gelu(self.ffn_in(self.ffn_norm(x)))
        return x + F.dropout(self.ffn_out(hidden), dropout), (key, value)


class TransformerStack(nn.Module):
    """Blocks with a final LayerNorm, over a sequence whose positions are counted without padding.

    Positions are rotary (RoPE, arXiv 2104.09864): no length is built in. On the BabyAI clips they learned
    faster than sinusoids or learned positions added to the input, for about 5 % of the time.

    Args:
        dim: Width d; a multiple of twice ``heads``.
        layers: Number of blocks.
        heads: Attention heads of each block.
        ffn_mult: Width of the feed-forward layers, in multiples of ``dim``.
        dropout: See `Block`.
        causal: Whether a position sees only itself and what is before it.
    """

    def __init__(
        self, *, dim: int, layers: int, heads: int, ffn_mult: float, dropout: float, causal: bool
    ) -> None:
        super().__init__()
        self.head_dim = dim // heads
        self.causal = causal
        self.blocks = nn.ModuleList(
            Block(dim=dim, heads=heads, ffn_mult=ffn_mult, dropout=dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        *,
        cache: KVCache | None = None,
        use_cache: bool = False,
        sees: Tensor | None = None,
    ) -> tuple[Tensor, KVCache | None]:
        """Run the blocks over L new positions.

        Args:
            x: ``[B, L, d]``.
            mask: bool ``[B, P + L]``, true at real positions; None when all are real. Every row needs a
                real position before its first padding.
            cache: Keys and values of the P earlier positions.
            use_cache: Whether to return the keys and values of all P + L.
            sees: bool ``[B, L, L]``, which of the new positions each sees in place of all before it; with a
                mask.

        Returns:
            ``[B, L, d]``, and the cache or None.
        """
        length = x.shape[1]
        total = length + (cache[0][0].shape[2] if cache else 0)
        where = torch.arange(total, device=x.device)[None] if mask is None else positions(mask, sees)
        rotation = rotations(where[:, where.shape[1] - length :], self.head_dim)
        attend = None if mask is None else mask[:, None, None, :]  # [B, 1, 1, P + L]
        if sees is not None and mask is not None:
            attend = attending(mask, sees)
        elif self.causal:
            past_and_self = torch.ones(length, total, dtype=torch.bool, device=x.device).tril(total - length)
            attend = past_and_self if attend is None else attend & past_and_self
        seen: KVCache = []
        for i, block in enumerate(self.blocks):
            x, keys_values = block(x, attend, rotation, cache[i] if cache else None)
            if use_cache:
                seen.append(keys_values)
        return self.norm(x), seen if use_cache else None


def positions(mask: Tensor, sees: Tensor | None = None) -> Tensor:
    """Number the real positions of a bool mask ``[B, P + L]`` from 0; padding repeats its predecessor's.

    With ``sees`` ``[B, L, L]`` the numbers ``[B, L]`` of the last L alone: of how many each comes after.
    """
    if sees is None:
        return (mask.long().cumsum(dim=1) - 1).clamp(min=0)
    before = mask[:, : mask.shape[1] - sees.shape[1]].sum(dim=1, keepdim=True)
    return before + sees.sum(dim=2) - 1


def attending(mask: Tensor, sees: Tensor) -> Tensor:
    """Return what each of L new positions looks at, bool ``[B, 1, L, P + L]``; see `LanguageModel`."""
    length = sees.shape[1]
    earlier = mask[:, None, : mask.shape[1] - length].expand(-1, length, -1)  # [B, L, P]
    return torch.cat((earlier, sees), dim=2).unsqueeze(1)


def rotations(where: Tensor, size: int) -> Tensor:
    """Turn positions ``[B, L]`` to unit complex numbers ``[B, 1, L, size / 2]``, for heads of ``size``."""
    # in float32 also where the default is half of it: a far position would be rounded to another
    steps = torch.arange(0, size, 2, device=where.device, dtype=torch.float32)
    rates = ROTARY_BASE ** (-steps / size)  # [size / 2]
    angles = where[:, None, :, None] * rates
    return torch.polar(torch.ones_like(angles), angles)


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Turn neighbouring pairs of ``[B, heads, L, size]``, so that products depend on distances alone."""
    exact = x.to(torch.promote_types(x.dtype, torch.float32))  # there is no complex bfloat16
    pairs = torch.view_as_complex(exact.unflatten(-1, (-1, 2)))  # [B, heads, L, size / 2]
    return torch.view_as_real(pairs * rotation).flatten(-2).to(x.dtype)


def check_heads(part: str, dim: int, heads: int) -> None:
    """Refuse a width that cannot be split among the heads.

    Raises:
        RecipeError: ``dim`` is no multiple of twice ``heads``.
    """
    if dim % (2 * heads):
        raise RecipeError(
            f"{part}.dim must be a multiple of 2 × {part}.heads; found dim {dim}, heads {heads}"
        )
