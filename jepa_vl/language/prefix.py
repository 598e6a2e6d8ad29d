"""A prefix (visual tokens and query) that a language model has read once, for all that may follow it."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from jepa_vl.language.base import LanguageModel


class Prefix(NamedTuple):
    """Attributes: keys and values of P positions, their mask, and the state that predicts what follows."""

    cache: Any
    mask: Tensor  # bool [B, P]
    last: Tensor  # [B, d], the state of the last real position


def read_prefix(language_model: LanguageModel, embeddings: Tensor, mask: Tensor) -> Prefix:
    """Run a language model over ``[B, P, d]``; padding may stand anywhere but first."""
    states, cache = language_model(embeddings, mask, use_cache=True)
    return Prefix(cache, mask, last_real(states, mask))


def last_real(states: Tensor, mask: Tensor) -> Tensor:
    """Take from ``[B, P, d]`` the state of each row's last real position ``[B, d]``."""
    last = mask.shape[1] - 1 - mask.flip(1).int().argmax(dim=1)  # [B]
    return states[torch.arange(len(last), device=last.device), last]
