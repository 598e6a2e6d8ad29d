from __future__ import annotations

import copy
import logging

import pytest
import torch
from torch.nn import functional as F

from jepa_vl.errors import RecipeError
from jepa_vl.language.beam import beam
from jepa_vl.language.data_vocabulary import DataVocabulary
from jepa_vl.language.greedy import greedy
from jepa_vl.language.likelihood import log_likelihoods
from jepa_vl.language.prefix import read_prefix
from jepa_vl.language.transformer_lm import TransformerLM

TEXTS = ["go to the door", "a red ball", "no"]


@pytest.fixture
def told(tiny_bert: str) -> TransformerLM:
    lm = TransformerLM(dim=32, layers=2, heads=2, model=tiny_bert, vocabulary="data").eval()
    lm.tell_texts(TEXTS)
    return lm


@pytest.fixture
def whole(told: TransformerLM, tiny_bert: str) -> TransformerLM:
    """The same model with all tokens, those that the other cannot say ruled out."""
    lm = TransformerLM(dim=32, layers=2, heads=2, model=tiny_bert).eval()
    lm.load_state_dict({**lm.state_dict(), **told.embedding.state_dict(prefix="embedding.")})
    lm.stack.load_state_dict(told.stack.state_dict())
    lm.vocabulary.bias.data.fill_(-torch.inf)
    lm.vocabulary.weight.data[told.vocabulary.ids] = told.vocabulary.weight.data
    lm.vocabulary.bias.data[told.vocabulary.ids] = told.vocabulary.bias.data
    return lm


def start(lm: TransformerLM):
    x = torch.randn(3, 4, lm.dim, generator=torch.Generator().manual_seed(1))
    return read_prefix(lm, x, torch.ones(3, 4, dtype=torch.bool))


def test_it_holds_the_tokens_of_the_texts_and_the_end(told):
    ids = {token for text in TEXTS for token in told.target_tokenizer([text]).ids[0].tolist()}
    assert told.vocabulary.ids.tolist() == sorted(ids)
    assert told.end_id in ids
    assert told.logits(torch.zeros(2, 32)).shape == (2, len(ids))


def test_places_and_tokens_are_each_others_inverse(told):
    ids = told.vocabulary.ids
    assert torch.equal(told.tokens(told.places(ids)), ids)


@torch.no_grad()
def test_losses_are_those_of_a_whole_vocabulary_with_the_others_ruled_out(told, whole):
    text = told.target_tokenizer(TEXTS)
    states = torch.randn(*text.ids.shape, 32)
    want = F.cross_entropy(whole.logits(states[text.mask]), text.ids[text.mask], reduction="none")
    torch.testing.assert_close(told.token_losses(states[text.mask], text.ids[text.mask]).each, want)


@torch.no_grad()
def test_greedy_and_beams_say_what_a_whole_vocabulary_with_the_others_ruled_out_says(told, whole):
    assert greedy(told, start(told), max_new_tokens=6) == greedy(whole, start(whole), max_new_tokens=6)
    got = beam(told, start(told), width=3, max_new_tokens=6)
    want = beam(whole, start(whole), width=3, max_new_tokens=6)
    assert [text for text, _ in got] == [text for text, _ in want]
    torch.testing.assert_close(
        torch.tensor([score for _, score in got]), torch.tensor([score for _, score in want])
    )


@torch.no_grad()
def test_a_text_with_a_token_that_was_not_told_scores_minus_infinity_and_is_named_once(told, caplog):
    texts = told.target_tokenizer(["red", "6 balls"])
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            scores = log_likelihoods(told, start(told), texts, [(0, 0), (0, 1)])
    assert scores[0].isfinite()
    assert scores[1] == -torch.inf
    assert [record.message for record in caplog.records if "token '6'" in record.message]
    assert len(caplog.records) == 1
    assert sorted(told.unsayable(["no 6", "go", "z"])) == ["6", "z"]


def test_further_tokens_leave_the_rows_of_the_others(told):
    before = copy.deepcopy(told.vocabulary)
    told.tell_texts(["67 zebras"])
    assert len(told.vocabulary.ids) > len(before.ids)
    at = told.places(before.ids)
    assert torch.equal(told.vocabulary.weight[at], before.weight)
    assert torch.equal(told.vocabulary.bias[at], before.bias)
    kept = told.vocabulary.weight
    told.tell_texts(["67 zebras", "no"])
    assert told.vocabulary.weight is kept


def test_a_state_is_loaded_whatever_was_told_before(told, tiny_bert):
    for texts in ([], ["entirely others, 12345"], TEXTS):
        lm = TransformerLM(dim=32, layers=2, heads=2, model=tiny_bert, vocabulary="data").eval()
        lm.tell_texts(texts)
        lm.load_state_dict(told.state_dict())
        x = torch.randn(2, 32)
        assert torch.equal(lm.logits(x), told.logits(x))
        assert torch.equal(lm.vocabulary.place, told.vocabulary.place)


def test_the_vocabulary_all_has_the_state_that_it_always_had(tiny_bert):
    lm = TransformerLM(dim=32, layers=2, heads=2, model=tiny_bert)
    assert [name for name in lm.state_dict() if name.startswith("vocabulary")] == [
        "vocabulary.weight",
        "vocabulary.bias",
    ]


def test_a_vocabulary_that_was_told_nothing_is_refused():
    layer = DataVocabulary(4, 10, end_id=3)
    with pytest.raises(RecipeError, match="vocabulary is 'data'"):
        layer(torch.zeros(1, 4))
