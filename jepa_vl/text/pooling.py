"""How a text encoder's token states become one vector, and how much text it can read."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from jepa_vl.errors import RecipeError

Pooling = Literal["mean", "cls", "last", "model"]


def pool(output: Any, mask: Tensor, pooling: Pooling) -> Tensor:
    """Pool a Hugging Face model's output to ``[B, d]``.

    Args:
        output: Has ``last_hidden_state`` ``[B, L, d]`` and, for ``model``, ``pooler_output`` ``[B, d]``.
        mask: bool ``[B, L]``, true at real tokens.
        pooling: The mean over real tokens, the first, the last real one, or the model's own.

    Raises:
        RecipeError: The model has no pooled output of its own.
    """
    states = output.last_hidden_state  # [B, L, d]
    if pooling == "mean":
        return masked_mean(states, mask)
    if pooling == "cls":
        return states[:, 0]
    if pooling == "last":
        last = (mask.sum(dim=1) - 1).clamp(min=0)  # [B]
        return states[torch.arange(len(last), device=last.device), last]
    pooled = getattr(output, "pooler_output", None)
    if pooled is None:
        raise RecipeError(
            "text_encoder.pooling is 'model', and the model has no pooling; choose mean, cls or last"
        )
    return pooled


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Mean of states ``[B, L, d]`` over a mask's true positions ``[B, L]``; zero where there is none."""
    weight = mask.to(states.dtype).unsqueeze(-1)  # [B, L, 1]
    return (states * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def context_length(config: Any, tokenizer: Any) -> int:
    """Most tokens a text encoder reads, by its configuration and its tokenizer."""
    length = int(min(tokenizer.model_max_length, 10**9))  # a tokenizer that knows no limit says 10³⁰
    table = getattr(config, "max_position_embeddings", None)
    if table is None:
        return length
    # RoBERTa's family counts positions from the padding id on
    first = config.pad_token_id + 1 if "roberta" in config.model_type else 0
    return min(length, int(table) - first)
