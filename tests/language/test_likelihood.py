from __future__ import annotations

import copy
import math

import pytest
import torch

from jepa_vl.language import likelihood
from jepa_vl.language.greedy import greedy
from jepa_vl.language.hf_causal import HFCausalLM, _takes_masks
from jepa_vl.language.likelihood import log_likelihoods
from jepa_vl.language.prefix import last_real, read_prefix

TEXTS = ["yes", "no", "a red ball", "b", "the blue key"]
ALIKE = ["the red ball", "the red box", "the", "the red ball", "a red ball", "the red ballad", "th", "the r"]


@pytest.fixture
def prefix_input(language_model):
    x = torch.randn(3, 6, language_model.dim)
    mask = torch.ones(3, 6, dtype=torch.bool)
    mask[1, 4:] = False
    mask[2, 3:] = False
    return x, mask


def slow_score(language_model, embeddings, text):
    """One text after one prefix without padding, no cache: the mean log-probability of its tokens."""
    ids = language_model.target_tokenizer([text]).ids
    x = torch.cat((embeddings, language_model.embed(ids)), dim=1)
    states, _ = language_model(x, torch.ones(x.shape[:2], dtype=torch.bool))
    logp = language_model.logits(states)[0].log_softmax(-1)
    before = embeddings.shape[1] - 1
    return sum(float(logp[before + i, token]) for i, token in enumerate(ids[0])) / ids.shape[1]


@torch.no_grad()
@pytest.mark.parametrize("limits", [(2048, 16_384), (20, 10_000), (10_000, 25), (1, 1)])
def test_scores_equal_a_slow_loop_without_cache_whatever_the_blocks(
    language_model, prefix_input, monkeypatch, limits
):
    monkeypatch.setattr(likelihood, "TOKENS_AT_ONCE", limits[0])
    monkeypatch.setattr(likelihood, "POSITIONS_AT_ONCE", limits[1])
    x, mask = prefix_input
    pairs = [(row, k) for row in (2, 0, 1) for k in range(len(TEXTS))]
    texts = language_model.target_tokenizer(TEXTS)
    got = log_likelihoods(language_model, read_prefix(language_model, x, mask), texts, pairs)
    want = [slow_score(language_model, x[row : row + 1, mask[row]], TEXTS[k]) for row, k in pairs]
    torch.testing.assert_close(got, torch.tensor(want), atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("most", [1, 5, 128])
@pytest.mark.parametrize("trees", [True, False])
def test_scores_of_texts_that_begin_alike_equal_the_slow_loop(
    language_model, prefix_input, monkeypatch, trees, most
):
    """Also where rows have other candidates, in another order, and one twice."""
    monkeypatch.setattr(likelihood, "TOKENS_OF_A_TREE", most)
    assert language_model.reads_trees
    language_model.reads_trees = trees
    x, mask = prefix_input
    pairs = [(0, k) for k in range(8)] + [(1, k) for k in (5, 3, 0, 5)] + [(2, 7), (2, 2), (0, 1)]
    texts = language_model.target_tokenizer(ALIKE)
    got = log_likelihoods(language_model, read_prefix(language_model, x, mask), texts, pairs)
    want = [slow_score(language_model, x[row : row + 1, mask[row]], ALIKE[k]) for row, k in pairs]
    torch.testing.assert_close(got, torch.tensor(want), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_what_texts_share_is_read_once(language_model, prefix_input, monkeypatch):
    prefix = read_prefix(language_model, *prefix_input)
    texts = language_model.target_tokenizer(ALIKE)
    read, embed = [], language_model.embed
    monkeypatch.setattr(language_model, "embed", lambda ids: (read.append(ids.numel()), embed(ids))[1])
    log_likelihoods(language_model, prefix, texts, [(row, k) for row in range(3) for k in range(len(ALIKE))])
    ids = [tuple(ids[mask].tolist()) for ids, mask in zip(texts.ids, texts.mask, strict=True)]
    beginnings = {text[:n] for text in ids for n in range(1, len(text))}
    assert sum(read) == 3 * len(beginnings) < 3 * sum(len(text) - 1 for text in ids) / 2


def test_a_model_whose_layers_see_windows_reads_no_trees(tiny_llama):
    config = HFCausalLM(model=tiny_llama).lm.config
    assert _takes_masks(config)
    for key, value in {"layer_types": ["full_attention", "sliding_attention"], "sliding_window": 4}.items():
        other = copy.deepcopy(config)
        setattr(other, key, value)
        assert not _takes_masks(other)
    config._attn_implementation = "flash_attention_2"
    assert not _takes_masks(config)


@torch.no_grad()
def test_probabilities_of_all_one_token_texts_sum_to_one(language_model, prefix_input):
    prefix = read_prefix(language_model, *prefix_input)
    vocabulary = language_model.logits(prefix.last).shape[-1]
    texts = language_model.target_tokenizer([""] * vocabulary)
    texts.ids = torch.arange(vocabulary)[:, None]
    texts.mask = torch.ones(vocabulary, 1, dtype=torch.bool)
    got = log_likelihoods(language_model, prefix, texts, [(0, k) for k in range(vocabulary)])
    assert math.isclose(float(got.exp().sum()), 1, abs_tol=1e-4)


@torch.no_grad()
def test_a_text_without_tokens_is_never_likely(language_model, prefix_input):
    texts = language_model.target_tokenizer(["", "yes"])
    got = log_likelihoods(language_model, read_prefix(language_model, *prefix_input), texts, [(0, 0), (0, 1)])
    assert got[0] == -math.inf
    assert got[1] > -math.inf


def slow_greedy(language_model, embeddings, most):
    said = []
    while len(said) < most:
        states, _ = language_model(embeddings, torch.ones(embeddings.shape[:2], dtype=torch.bool))
        token = int(language_model.logits(states[:, -1]).argmax())
        if token == language_model.end_id:
            break
        said.append(token)
        embeddings = torch.cat((embeddings, language_model.embed(torch.tensor([[token]]))), dim=1)
    return language_model.target_tokenizer.decode(said)


@torch.no_grad()
def test_greedy_equals_a_slow_loop_without_cache_one_row_at_a_time(language_model, prefix_input):
    x, mask = prefix_input
    got = greedy(language_model, read_prefix(language_model, x, mask), max_new_tokens=9)
    assert got == [slow_greedy(language_model, x[i : i + 1, mask[i]], 9) for i in range(3)]


@torch.no_grad()
def test_greedy_stops_each_row_at_its_end_token(language_model, prefix_input, monkeypatch):
    x, mask = prefix_input
    end = language_model.end_id
    said = iter([[5, end, 5], [end, 7, 6], [8, 9, end], [8, 9, 5]])

    def scripted(states):
        vocabulary = max(50, end + 1)
        return torch.nn.functional.one_hot(torch.tensor(next(said)), vocabulary).float()

    monkeypatch.setattr(language_model, "logits", scripted)
    got = greedy(language_model, read_prefix(language_model, x, mask), max_new_tokens=8)
    decode = language_model.target_tokenizer.decode
    assert got == [decode([5]), decode([]), decode([5, 6])]


def test_last_real_finds_the_state_before_the_padding():
    states = torch.arange(8.0).view(2, 4, 1)
    mask = torch.tensor([[True, True, False, False], [True, False, True, True]])
    assert last_real(states, mask).flatten().tolist() == [1.0, 7.0]
