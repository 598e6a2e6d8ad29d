from __future__ import annotations

import pytest
import torch
from transformers import AutoModel, LlamaConfig, Qwen2Config, Qwen2Model, Qwen3Config, Qwen3Model

from jepa_vl.errors import RecipeError
from jepa_vl.predictors.hf_layers import HFLayersPredictor


def connected(**arguments):
    predictor = HFLayersPredictor(**arguments)
    predictor.connect(vision_dim=12, embed_dim=8)
    return predictor.eval()


def hidden_states(predictor, tokens, texts):
    """Final states of every position, as the predictor averages them."""
    kept = []
    handle = predictor.norm.register_forward_hook(lambda _module, _args, output: kept.append(output))
    predictor(tokens, predictor.tokenizer(texts))
    handle.remove()
    return kept[0]


def test_all_layers_with_the_causal_mask_are_the_language_model_itself(tiny_llama):
    """The only difference between the model and its use as a predictor is the mask."""
    predictor = connected(model=tiny_llama, layers=4, causal=True)
    tokens = torch.randn(2, 5, 12)
    texts = ["abc", "abcdef"]
    kept = []
    handle = predictor.layers[0].register_forward_pre_hook(lambda _module, args: kept.append(args[0]))
    got = hidden_states(predictor, tokens, texts)
    handle.remove()
    mask = torch.cat((torch.ones(2, 5, dtype=torch.bool), predictor.tokenizer(texts).mask), dim=1)
    lm = AutoModel.from_pretrained(tiny_llama, dtype=torch.float32).eval()
    want = lm(inputs_embeds=kept[0], attention_mask=mask.long()).last_hidden_state
    torch.testing.assert_close(got[mask], want[mask], atol=1e-5, rtol=1e-4)


def test_causal_is_causal_and_its_absence_is_not(tiny_llama):
    tokens = torch.randn(1, 5, 12)
    for causal in (True, False):
        predictor = connected(model=tiny_llama, layers=2, causal=causal)
        a, b = (hidden_states(predictor, tokens, [text]) for text in ("ab", "cd"))
        assert torch.allclose(a[:, :5], b[:, :5], atol=1e-6) == causal


def test_it_keeps_the_last_layers_and_only_those(tiny_llama):
    predictor = HFLayersPredictor(model=tiny_llama, layers=2)
    lm = AutoModel.from_pretrained(tiny_llama, dtype=torch.float32)
    assert len(predictor.layers) == 2
    for mine, theirs in zip(predictor.layers, lm.layers[2:], strict=True):
        for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(p, q)
    assert torch.equal(predictor.embedding.weight, lm.embed_tokens.weight)


def test_it_keeps_the_first_layers_where_these_are_wanted(tiny_llama):
    predictor = HFLayersPredictor(model=tiny_llama, layers=2, end="first")
    lm = AutoModel.from_pretrained(tiny_llama, dtype=torch.float32)
    kept = [p for layer in predictor.layers for p in layer.parameters()]
    first = [p for layer in lm.layers[:2] for p in layer.parameters()]
    assert all(torch.equal(p, q) for p, q in zip(kept, first, strict=True))


def test_random_layers_keep_the_pretrained_word_embeddings(tiny_llama):
    torch.manual_seed(1)  # not the one the folder was made with
    predictor = HFLayersPredictor(model=tiny_llama, layers=2, pretrained=False)
    lm = AutoModel.from_pretrained(tiny_llama, dtype=torch.float32)
    assert torch.equal(predictor.embedding.weight, lm.embed_tokens.weight)
    ours, theirs = predictor.layers[0].mlp.up_proj.weight, lm.layers[2].mlp.up_proj.weight
    assert ours.shape == theirs.shape
    assert not torch.allclose(ours, theirs)


@pytest.mark.parametrize(("config", "model"), [(Qwen2Config, Qwen2Model), (Qwen3Config, Qwen3Model)])
def test_other_llama_like_models_work(tiny_llama, tmp_path, config, model):
    settings = LlamaConfig.from_pretrained(tiny_llama)
    model(
        config(
            vocab_size=settings.vocab_size + 10,  # its tokenizer adds tokens
            hidden_size=32,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=64,
            head_dim=8,
        )
    ).save_pretrained(tmp_path)
    HFLayersPredictor(model=tiny_llama, layers=1).tokenizer.tokenizer.save_pretrained(tmp_path)
    predictor = connected(model=str(tmp_path), layers=2)
    tokens = torch.randn(2, 5, 12)
    together = predictor(tokens, predictor.tokenizer(["", "abc"]))
    alone = predictor(tokens[:1], predictor.tokenizer([""]))
    torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=1e-4)


def test_a_model_without_such_layers_is_refused_by_name(tiny_bert):
    with pytest.raises(RecipeError, match=r"BertModel without layers.*Llama-like"):
        HFLayersPredictor(model=tiny_bert, layers=1)


@pytest.mark.parametrize("layers", [0, 5])
def test_more_layers_than_there_are_are_refused(tiny_llama, layers):
    with pytest.raises(RecipeError, match=rf"between 1 and the 4 .* found {layers}"):
        HFLayersPredictor(model=tiny_llama, layers=layers)


def test_at_full_size_it_has_the_papers_490_million_trainable_parameters():
    """Section 3.1: the last 8 layers of Llama-3.2-1B, ViT-L tokens, a shared space of 1,536."""
    with torch.device("meta"):
        predictor = HFLayersPredictor(model="meta-llama/Llama-3.2-1B", layers=8)
        predictor.connect(vision_dim=1024, embed_dim=1536)
    trainable = sum(p.numel() for p in predictor.parameters() if p.requires_grad)
    query_projection = sum(p.numel() for p in predictor.query_projection.parameters())
    assert predictor.embedding.weight.shape == (128_256, 2048)
    assert trainable - query_projection == pytest.approx(490e6, rel=0.005)
    assert trainable == pytest.approx(490e6, rel=0.015)
