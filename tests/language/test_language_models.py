"""What every language model must keep to: causal, indifferent to padding, a cache that changes nothing."""

from __future__ import annotations

import pytest
import torch

from jepa_vl.errors import RecipeError
from jepa_vl.language.transformer_lm import TransformerLM


def test_no_position_sees_a_later_one(language_model):
    x = torch.randn(1, 6, language_model.dim, requires_grad=True)
    states, _ = language_model(x, torch.ones(1, 6, dtype=torch.bool))
    direction = torch.randn(language_model.dim)  # a plain sum would be constant behind a LayerNorm
    for position in range(6):
        (grad,) = torch.autograd.grad(states[0, position] @ direction, x, retain_graph=True)
        seen = grad[0].abs().sum(dim=1) > 0
        assert seen.tolist() == [i <= position for i in range(6)]


@pytest.mark.parametrize("pieces", [(3, 4), (1, 1, 5), (6, 1)])
def test_a_cache_changes_nothing(language_model, pieces):
    x = torch.randn(2, 7, language_model.dim)
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[1, 2:4] = False  # padding in the middle
    whole, _ = language_model(x, mask)
    parts, cache, done = [], None, 0
    for length in pieces:
        states, cache = language_model(
            x[:, done : done + length], mask[:, : done + length], cache=cache, use_cache=True
        )
        parts.append(states)
        done += length
    torch.testing.assert_close(torch.cat(parts, dim=1)[mask], whole[mask], atol=1e-5, rtol=1e-4)


def test_padding_in_the_middle_changes_nothing(language_model):
    x = torch.randn(1, 5, language_model.dim)
    plain, _ = language_model(x, torch.ones(1, 5, dtype=torch.bool))
    padded = torch.cat((x[:, :3], torch.randn(1, 4, language_model.dim), x[:, 3:]), dim=1)
    mask = torch.tensor([[True, True, True, False, False, False, False, True, True]])
    states, _ = language_model(padded, mask)
    torch.testing.assert_close(states[mask], plain[0], atol=1e-5, rtol=1e-4)


def test_cache_rows_repeats_rows_and_leaves_the_original(language_model):
    x = torch.randn(2, 4, language_model.dim)
    mask = torch.ones(2, 4, dtype=torch.bool)
    _, cache = language_model(x, mask, use_cache=True)
    rows = torch.tensor([1, 0, 1])
    further = torch.randn(3, 2, language_model.dim)
    for _ in range(2):  # the second time shows whether the first one wrote into the original
        got, _ = language_model(
            further, torch.ones(3, 6, dtype=torch.bool), cache=language_model.cache_rows(cache, rows)
        )
    want, _ = language_model(torch.cat((x[rows], further), dim=1), torch.ones(3, 6, dtype=torch.bool))
    torch.testing.assert_close(got, want[:, 4:], atol=1e-5, rtol=1e-4)


def test_targets_end_with_the_end_token_and_queries_do_not(language_model):
    target = language_model.target_tokenizer(["red ball"]).ids[0].tolist()
    query = language_model.query_tokenizer(["red ball"]).ids[0].tolist()
    assert target == [*query, language_model.end_id]
    assert language_model.target_tokenizer.decode(target) == "red ball"


def test_logits_cover_the_vocabulary(language_model):
    states = torch.randn(2, 3, language_model.dim)
    assert language_model.logits(states).shape[-1] > language_model.target_tokenizer(["~zA"]).ids.max()


def test_a_width_that_heads_cannot_share_is_refused(tiny_bert):
    with pytest.raises(RecipeError, match=r"language_model\.dim.*dim 32, heads 3"):
        TransformerLM(dim=32, heads=3, model=tiny_bert)
