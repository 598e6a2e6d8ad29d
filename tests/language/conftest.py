from __future__ import annotations

import pytest

from jepa_vl.language.base import LanguageModel
from jepa_vl.language.hf_causal import HFCausalLM
from jepa_vl.language.transformer_lm import TransformerLM


@pytest.fixture(params=["transformer_lm", "hf_causal"])
def language_model(request: pytest.FixtureRequest, tiny_bert: str, tiny_llama: str) -> LanguageModel:
    if request.param == "hf_causal":
        return HFCausalLM(model=tiny_llama).eval()
    return TransformerLM(dim=32, layers=2, heads=2, model=tiny_bert).eval()
