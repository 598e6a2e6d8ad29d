"""Hugging Face models and their tokenizers; on the meta device their shapes alone."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer

from jepa_vl.errors import RecipeError
from jepa_vl.pretrained.known import known_config, known_tokenizer
from jepa_vl.pretrained.rms_norm import fuse_norms
from jepa_vl.pretrained.weights import load_hf, shapes_alone


def load_model(name: str, auto_class: Any, *, pretrained: bool = True, dropout: float | None = None) -> Any:
    """Build a Hugging Face model in float32.

    Under ``with torch.device("meta")`` no weight is read and the shapes come from the configuration, so
    that the largest models can be counted on any machine.

    Args:
        name: Hub name, local folder, or name registered in group ``weights``.
        auto_class: ``AutoModel`` or ``AutoModelForCausalLM``.
        pretrained: Whether to read the weights; else the model starts at random.
        dropout: For every dropout of the model, of its attention too; ``None`` leaves its own.

    Raises:
        RecipeError: There is no such model, or it has no dropout to set.
        UserError: The model is there and cannot be loaded.
    """
    config = load_config(name)
    if dropout is not None:
        _set_dropout(config, dropout, name)
    if pretrained and not shapes_alone():
        model = load_hf(auto_class.from_pretrained, name, config=config, dtype=torch.float32)
    else:
        model = auto_class.from_config(config, dtype=torch.float32)
    fuse_norms(model)
    return model


def load_config(name: str) -> Any:
    """Load the configuration of a model, named as in `load_model`; for shapes alone, a known one as it is."""
    known = known_config(name) if shapes_alone() else None
    return load_hf(AutoConfig.from_pretrained, name) if known is None else known


def load_tokenizer(name: str) -> Any:
    """Load the tokenizer of a model, named as in `load_model`; for shapes alone, one that reads nothing."""
    known = known_tokenizer(name) if shapes_alone() else None
    return load_hf(AutoTokenizer.from_pretrained, name) if known is None else known


def _set_dropout(config: Any, dropout: float, name: str) -> None:
    if not 0 <= dropout < 1:
        raise RecipeError(f"the dropout of '{name}' must be at least 0 and below 1; found {dropout}")
    text = config.get_text_config()  # the part that reads text, where a model has others beside it
    keys = [
        key
        for key, value in vars(text).items()
        if ("dropout" in key or key.endswith("_pdrop")) and isinstance(value, int | float)
    ]
    if dropout and not keys:
        raise RecipeError(f"'{name}' has no dropout that could be {dropout}; leave the key out, or give 0")
    for key in keys:
        setattr(text, key, dropout)
