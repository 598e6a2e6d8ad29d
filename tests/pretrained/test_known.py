"""The paper's models as they are known without the hub: their published sizes."""

from __future__ import annotations

import pytest
import torch

from jepa_vl.language.hf_causal import HFCausalLM
from jepa_vl.pretrained.known import known_config, known_tokenizer
from jepa_vl.text.hf_text import HFText
from jepa_vl.vision.hf_vision import HFVision


def numbers(module: torch.nn.Module) -> float:
    return sum(p.numel() for p in module.parameters()) / 1e6


def test_the_parts_of_the_paper_have_the_sizes_of_the_paper() -> None:
    """Section 3.1: V-JEPA 2 ViT-L of 304M, Llama-3.2-1B, EmbeddingGemma-300M; no file and no hub is read."""
    with torch.device("meta"):
        vision = HFVision(num_frames=8)
        language = HFCausalLM(model="meta-llama/Llama-3.2-1B")
        text = HFText(model="google/embeddinggemma-300m")
    assert numbers(vision) == pytest.approx(304, abs=1)
    assert vision.grid == (4, 16, 16)
    assert vision.preprocessing.size == (256, 256)
    assert numbers(language) == pytest.approx(1236, abs=1)
    assert language.end_id == 128_001
    # 308M with its two dense layers behind the pooling, which hf_text's head takes the place of
    assert numbers(text) == pytest.approx(303, abs=1)
    assert text.tokenizer.max_length == 512


def test_any_other_model_is_not_known() -> None:
    assert known_config("someone/model") is None
    assert known_tokenizer("someone/model") is None


def test_real_weights_are_asked_of_the_hub_and_never_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoTokenizer

    from jepa_vl.errors import UserError
    from jepa_vl.pretrained.models import load_tokenizer

    def gated(*_: object, **__: object) -> None:
        raise OSError("access to the model is restricted")

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", gated)
    with pytest.raises(UserError, match="restricted"):
        load_tokenizer("meta-llama/Llama-3.2-1B")
