"""Hugging Face models and their tokenizers; on the meta device their shapes alone."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer

from jepa_vl.weights import load_hf


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
    if pretrained and torch.get_default_device().type != "meta":
        return load_hf(auto_class.from_pretrained, name, dtype=torch.float32)
    return auto_class.from_config(load_hf(AutoConfig.from_pretrained, name), dtype=torch.float32)


def load_tokenizer(name: str) -> Any:
    """Load the tokenizer of a model, named as in `load_model`."""
    return load_hf(AutoTokenizer.from_pretrained, name)
