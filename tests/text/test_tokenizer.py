from __future__ import annotations

import pickle

import pytest
from transformers import AutoTokenizer

from jepa_vl.text.tokenizer import TextTokenizer


@pytest.fixture
def bert(tiny_bert: str) -> object:
    return AutoTokenizer.from_pretrained(tiny_bert)


def test_ids_equal_the_tokenizers_own_and_padding_is_masked(bert):
    texts = ["a red ball", "go"]
    got = TextTokenizer(bert, max_length=32)(texts)
    for text, ids, mask in zip(texts, got.ids, got.mask, strict=True):
        assert ids[mask].tolist() == bert(text)["input_ids"]
        assert not mask[mask.sum() :].any()
        assert (ids[~mask] == bert.pad_token_id).all()


def test_a_long_text_keeps_its_end_token_is_cut_and_counted(bert):
    got = TextTokenizer(bert, max_length=6)(["abcdefghij", "ab"])
    assert got.truncated == 1
    assert got.ids.shape == (2, 6)
    assert got.ids[0, -1] == bert.sep_token_id
    assert got.ids[0, 0] == bert.cls_token_id


def test_a_text_of_just_the_length_is_not_counted_as_cut(bert):
    got = TextTokenizer(bert, max_length=6)(["abcd"])
    assert (got.truncated, got.ids.shape[1]) == (0, 6)


def test_the_suffix_survives_truncation(bert):
    got = TextTokenizer(bert, max_length=5, special_tokens=False, suffix=(3,))(["abcdefghij", "ab"])
    assert got.ids[0].tolist()[-1] == 3
    assert got.ids[1][got.mask[1]].tolist()[-1] == 3
    assert got.mask.sum(1).tolist() == [5, 3]


@pytest.mark.parametrize(("texts", "shape"), [([], (0, 0)), ([""], (1, 0)), (["", "ab"], (2, 4))])
def test_empty_texts_have_no_token(bert, texts, shape):
    got = TextTokenizer(bert, max_length=8)(texts)
    assert got.ids.shape == shape
    if texts:
        assert not got.mask[0].any()


def test_the_prompt_stands_before_each_text_but_an_empty_one(bert):
    plain = TextTokenizer(bert, max_length=32)
    prompted = TextTokenizer(bert, max_length=32, prompt="say: ")
    got = prompted(["red", ""])
    assert got.ids[0].tolist() == plain(["say: red"]).ids[0].tolist()
    assert not got.mask[1].any()


def test_a_worker_process_can_have_a_copy(bert):
    tokenizer = TextTokenizer(bert, max_length=8)
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy(["red ball"]).ids.tolist() == tokenizer(["red ball"]).ids.tolist()


def test_decode_gives_the_text_back_without_special_tokens(bert):
    tokenizer = TextTokenizer(bert, max_length=32)
    assert tokenizer.decode(tokenizer(["a red ball"]).ids[0].tolist()) == "a red ball"
