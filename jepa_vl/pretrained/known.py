"""Configurations of the paper's models: their shapes are known where no hub is, and no weight is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from transformers import AutoConfig


@dataclass(frozen=True)
class UnreadTokenizer:
    """Stands in for the tokenizer of a known model whose shapes alone are wanted: it reads no text.

    Attributes:
        model_max_length: Most tokens the model reads.
        eos_token_id: The token that ends a text.
        pad_token_id: The token that fills up a row.
    """

    model_max_length: int
    eos_token_id: int
    pad_token_id: int


def known_config(name: str) -> Any | None:
    """Return the configuration of a model of the paper by its hub name, as far as it decides shapes."""
    values = _known().get(name)
    return None if values is None else AutoConfig.for_model(**values)


def known_tokenizer(name: str) -> UnreadTokenizer | None:
    """Return what stands in for the tokenizer of a model of the paper."""
    values = _known().get(name)
    if values is None:
        return None
    return UnreadTokenizer(
        model_max_length=values.get("max_position_embeddings", 0),
        eos_token_id=values.get("eos_token_id", 0),
        pad_token_id=values.get("pad_token_id", 0),
    )


@cache
def _known() -> dict[str, dict[str, Any]]:
    text = files("jepa_vl.pretrained").joinpath("known.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, Any]] = json.loads(text)
    return found
