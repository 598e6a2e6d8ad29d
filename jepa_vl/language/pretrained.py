"""Hugging Face models and their tokenizers; on the meta device their shapes alone."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer

from jepa_vl.known_models import known_config, known_tokenizer
from jepa_vl.weights import load_hf, shapes_alone


def load_model(name: str, auto_class: Any, *, pretrained: bool = True) -> Any:
    """Build a Hugging Face model in float32.

    Under ``with torch.device("meta")`` no weight is read and the shapes come from the configuration, so
    that the largest models can be counted on any machine.

    Args:
        name: Hub name, local folder, or name registered in group ``weights``.
        auto_class: ``AutoModel`` or ``AutoModelForCausalLM``.
        pretrained: Whether to read the weights; else the model starts at random.

    Raises:
        RecipeError: There is no such model.
        UserError: The model is there and cannot be loaded.
    """
    if pretrained and not shapes_alone():
        return load_hf(auto_class.from_pretrained, name, dtype=torch.float32)
    return auto_class.from_config(load_config(name), dtype=torch.float32)


def load_config(name: str) -> Any:
    """Load the configuration of a model, named as in `load_model`; for shapes alone, a known one as it is."""
    known = known_config(name) if shapes_alone() else None
    return load_hf(AutoConfig.from_pretrained, name) if known is None else known


def load_tokenizer(name: str) -> Any:
    """Load the tokenizer of a model, named as in `load_model`; for shapes alone, one that reads nothing."""
    known = known_tokenizer(name) if shapes_alone() else None
    return load_hf(AutoTokenizer.from_pretrained, name) if known is None else known
