"""What every predictor must keep to: bidirectional, indifferent to padding, content with an empty query."""

from __future__ import annotations

import pytest
import torch

from jepa_vl.predictors.base import Predictor
from jepa_vl.predictors.hf_layers import HFLayersPredictor
from jepa_vl.predictors.transformer import TransformerPredictor
from jepa_vl.sample import TextTokens

TOKENS, WIDTH, SHARED = 5, 12, 8


@pytest.fixture(params=["transformer", "hf_layers", "hf_layers eager"])
def predictor(request: pytest.FixtureRequest, tiny_bert: str, tiny_llama: str) -> Predictor:
    built: Predictor
    if request.param == "transformer":
        built = TransformerPredictor(dim=32, layers=2, heads=2, query_model=tiny_bert)
    else:
        built = HFLayersPredictor(model=tiny_llama, layers=2)
        if request.param.endswith("eager"):
            for layer in built.layers:
                layer.self_attn.config._attn_implementation = "eager"
    built.connect(vision_dim=WIDTH, embed_dim=SHARED)
    return built.eval()


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randn(3, TOKENS, WIDTH)


def test_padding_of_the_query_changes_nothing(predictor, tokens):
    texts = ["", "what?", "which colour is the ball"]
    together = predictor(tokens, predictor.tokenizer(texts))
    assert together.shape == (3, SHARED)
    for i, text in enumerate(texts):
        alone = predictor(tokens[i : i + 1], predictor.tokenizer([text]))
        torch.testing.assert_close(together[i], alone[0], atol=1e-5, rtol=1e-4)


def test_what_stands_in_the_padding_changes_nothing(predictor, tokens):
    query = predictor.tokenizer(["ab", "abcd", "a"])
    other = TextTokens(torch.where(query.mask, query.ids, 7), query.mask)
    torch.testing.assert_close(predictor(tokens, query), predictor(tokens, other), atol=1e-6, rtol=1e-5)


def test_a_batch_of_empty_queries_works(predictor, tokens):
    empty = predictor.tokenizer([""] * 3)
    assert empty.ids.shape == (3, 0)
    padded = TextTokens(torch.zeros(3, 2, dtype=torch.long), torch.zeros(3, 2, dtype=torch.bool))
    torch.testing.assert_close(predictor(tokens, empty), predictor(tokens, padded), atol=1e-5, rtol=1e-4)


def test_the_query_matters_and_so_does_its_order(predictor, tokens):
    ab, ba, c = (predictor(tokens[:1], predictor.tokenizer([t])) for t in ("ab", "ba", "c"))
    assert not torch.allclose(ab, c, atol=1e-3)
    assert not torch.allclose(ab, ba, atol=1e-4)


def first_states(predictor, tokens):
    """The final state of the first position, once for each of two queries."""
    states = []

    def keep(_module, _args, output):
        states.append(output[0] if isinstance(output, tuple) else output)

    last = predictor.stack if isinstance(predictor, TransformerPredictor) else predictor.norm
    handle = last.register_forward_hook(keep)
    for text in ("ab", "cd"):
        predictor(tokens[:1], predictor.tokenizer([text]))
    handle.remove()
    return states[0][0, 0], states[1][0, 0]


def test_earlier_positions_see_later_ones(predictor, tokens):
    """With a causal mask the first position's final state would not depend on the query."""
    one, other = first_states(predictor, tokens)
    assert not torch.allclose(one, other, atol=1e-4)


def test_the_ablation_with_the_causal_mask_sees_no_later_position(tiny_bert, tokens):
    predictor = TransformerPredictor(dim=32, layers=2, heads=2, query_model=tiny_bert, causal=True)
    predictor.connect(vision_dim=WIDTH, embed_dim=SHARED)
    one, other = first_states(predictor.eval(), tokens)
    torch.testing.assert_close(one, other)
    ab, cd = (predictor(tokens[:1], predictor.tokenizer([text])) for text in ("ab", "cd"))
    assert not torch.allclose(ab, cd, atol=1e-3)  # the query's own positions count in the mean


def test_every_trainable_parameter_has_a_gradient_even_without_queries(predictor, tokens):
    """A parameter that takes no part in the backward pass stops distributed training."""
    predictor.train()
    for texts in (["", "", ""], ["a", "", "bc"]):
        predictor.zero_grad()
        predictor(tokens, predictor.tokenizer(texts)).square().sum().backward()
        missing = [n for n, p in predictor.named_parameters() if p.requires_grad and p.grad is None]
        assert not missing


def test_word_embeddings_are_frozen_and_projections_are_not(predictor):
    frozen = [n for n, p in predictor.named_parameters() if not p.requires_grad]
    assert len(frozen) == 1
    assert frozen[0].endswith(("table.weight", "embedding.weight"))


def test_long_queries_are_cut_and_counted(tiny_bert):
    tokenizer = TransformerPredictor(dim=32, heads=2, query_model=tiny_bert, max_query_length=4).tokenizer
    query = tokenizer(["abcdefgh", "ab"])
    assert (query.ids.shape[1], query.truncated) == (4, 1)
