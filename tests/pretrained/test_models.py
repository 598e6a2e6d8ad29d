"""Loading a Hugging Face model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModel, GPT2Config, MambaConfig, PretrainedConfig, RobertaConfig, T5Config

from jepa_vl.errors import RecipeError
from jepa_vl.pretrained.models import load_model


@pytest.mark.parametrize(
    ("config", "keys"),
    [
        (RobertaConfig, {"hidden_dropout_prob", "attention_probs_dropout_prob"}),
        (T5Config, {"dropout_rate"}),
        (GPT2Config, {"resid_pdrop", "embd_pdrop", "attn_pdrop"}),
    ],
)
def test_dropout_is_set_whatever_the_model_calls_it(
    tmp_path: Path, config: type[PretrainedConfig], keys: set[str]
) -> None:
    config().save_pretrained(tmp_path)
    with torch.device("meta"):
        backbone = load_model(str(tmp_path), AutoModel, dropout=0.25)
    assert {key for key in keys if getattr(backbone.config, key) == 0.25} == keys
    rates = {part.p for part in backbone.modules() if isinstance(part, torch.nn.Dropout)}
    assert rates == {0.25}


def test_the_dropout_of_a_model_that_has_none_cannot_be_set(tmp_path: Path) -> None:
    MambaConfig(vocab_size=8, hidden_size=8, num_hidden_layers=1, state_size=2).save_pretrained(tmp_path)
    with torch.device("meta"):
        load_model(str(tmp_path), AutoModel, dropout=0.0)
        with pytest.raises(RecipeError, match=r"has no dropout that could be 0\.1"):
            load_model(str(tmp_path), AutoModel, dropout=0.1)
