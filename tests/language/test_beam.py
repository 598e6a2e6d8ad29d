"""Beam search against exhaustive search, greedy decoding and transformers' own."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from jepa_vl.language.base import LanguageModel
from jepa_vl.language.beam import beam
from jepa_vl.language.greedy import greedy
from jepa_vl.language.hf_causal import HFCausalLM
from jepa_vl.language.prefix import read_prefix

LETTERS, END, DIM = "abc", 3, 6


class Letters:
    """Tokenises to 0, 1, 2 and back."""

    def decode(self, ids: list[int]) -> str:
        return "".join(LETTERS[i] for i in ids)


class LetterLM(LanguageModel):
    """Three letters and an end; each state depends on all that was read. Its cache is what it has read."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.dim, self.end_id, self.target_tokenizer = DIM, END, Letters()  # type: ignore[assignment]
        self.table = torch.randn(4, DIM, generator=generator)
        self.mix = torch.randn(DIM, DIM, generator=generator)
        self.out = 2 * torch.randn(DIM, 4, generator=generator)

    def embed(self, ids: Tensor) -> Tensor:
        return self.table[ids]

    def forward(self, embeddings, mask, *, cache=None, use_cache=False):
        read = embeddings if cache is None else torch.cat((cache, embeddings), dim=1)
        state, states = torch.zeros(len(read), DIM), []
        for at in range(read.shape[1]):
            state = torch.where(mask[:, at, None], torch.tanh(state @ self.mix + read[:, at]), state)
            states.append(state)
        return torch.stack(states, dim=1)[:, -embeddings.shape[1] :], read

    def cache_rows(self, cache: Tensor, rows: Tensor) -> Tensor:
        return cache[rows]

    def logits(self, states: Tensor) -> Tensor:
        return states @ self.out


def prefix_of(lm: LanguageModel, rows: int = 5):
    torch.manual_seed(11)
    mask = torch.ones(rows, 4, dtype=torch.bool)
    mask[1, 2:] = False
    return torch.randn(rows, 4, lm.dim), mask


def exhaustive(lm: LetterLM, start: Tensor, most: int) -> tuple[str, float]:
    """Score every text of up to ``most`` tokens, each read from its beginning."""
    best = ("", -float("inf"))
    for length in range(1, most + 1):
        for letters in itertools.product(range(4), repeat=length):
            if END in letters[:-1] or (letters[-1] != END and length < most):
                continue
            read = torch.cat((start, lm.embed(torch.tensor(letters)[:-1])[None]), dim=1)
            states, _ = lm(read, torch.ones(read.shape[:2], dtype=torch.bool))
            logp = lm.logits(states[0, start.shape[1] - 1 :]).log_softmax(-1)
            mean = float(logp[range(length), letters].mean())
            if mean > best[1]:
                best = (lm.target_tokenizer.decode([i for i in letters if i != END]), mean)
    return best


@pytest.mark.parametrize("seed", range(6))
def test_a_beam_as_wide_as_all_texts_finds_what_exhaustive_search_finds(seed: int) -> None:
    lm = LetterLM(seed)
    x, mask = prefix_of(lm)
    got = beam(lm, read_prefix(lm, x, mask), width=200, max_new_tokens=4)
    want = [exhaustive(lm, x[i : i + 1, mask[i]], 4) for i in range(len(x))]
    assert [text for text, _ in got] == [text for text, _ in want]
    torch.testing.assert_close(torch.tensor([s for _, s in got]), torch.tensor([s for _, s in want]))


def test_a_wider_beam_finds_better_texts_than_greedy_for_some_rows() -> None:
    lm = LetterLM(0)
    x, mask = prefix_of(lm, rows=32)
    one, five = (
        torch.tensor([s for _, s in beam(lm, read_prefix(lm, x, mask), width=w, max_new_tokens=6)])
        for w in (1, 5)
    )
    assert (five > one + 1e-4).any()


@torch.no_grad()
def test_width_1_is_greedy(language_model) -> None:
    x, mask = prefix_of(language_model)
    got = beam(language_model, read_prefix(language_model, x, mask), width=1, max_new_tokens=9)
    want = greedy(language_model, read_prefix(language_model, x, mask), max_new_tokens=9)
    assert [text for text, _ in got] == want


@pytest.mark.parametrize("seed", range(6))
def test_width_1_is_greedy_where_texts_end(seed: int) -> None:
    lm = LetterLM(seed)
    x, mask = prefix_of(lm, rows=32)
    want = greedy(lm, read_prefix(lm, x, mask), max_new_tokens=9)
    got = beam(lm, read_prefix(lm, x, mask), width=1, max_new_tokens=9)
    assert [text for text, _ in got] == want
    assert len({len(text) for text in want}) > 1


@torch.no_grad()
def test_a_row_does_not_depend_on_the_rows_beside_it(language_model) -> None:
    x, mask = prefix_of(language_model)
    together = beam(language_model, read_prefix(language_model, x, mask), width=3, max_new_tokens=7)
    for i in range(len(x)):
        start = read_prefix(language_model, x[i : i + 1, mask[i]], mask[i : i + 1, mask[i]])
        ((text, score),) = beam(language_model, start, width=3, max_new_tokens=7)
        assert (text, score) == (together[i][0], pytest.approx(together[i][1], abs=1e-4))


@torch.no_grad()
@pytest.mark.parametrize("width", [2, 4])
def test_texts_and_scores_are_those_of_transformers(tiny_llama: str, width: int) -> None:
    lm = HFCausalLM(model=tiny_llama).eval()
    with torch.no_grad():  # so that some texts end
        lm.lm.get_output_embeddings().weight[lm.end_id] *= 3
    torch.manual_seed(3)
    x = torch.randn(8, 4, lm.dim)
    mask = torch.ones(8, 4, dtype=torch.bool)
    got = beam(lm, read_prefix(lm, x, mask), width=width, max_new_tokens=8)
    want = lm.lm.generate(
        inputs_embeds=x,
        attention_mask=mask.long(),
        num_beams=width,
        do_sample=False,
        max_new_tokens=8,
        early_stopping=True,
        length_penalty=1.0,
        eos_token_id=lm.end_id,
        pad_token_id=lm.end_id,
        return_dict_in_generate=True,
        output_scores=True,
    )
    texts = [lm.target_tokenizer.decode(row.tolist()) for row in want.sequences]
    assert [text for text, _ in got] == texts
    torch.testing.assert_close(torch.tensor([s for _, s in got]), want.sequences_scores, atol=1e-4, rtol=1e-4)
    assert len({int((row != lm.end_id).sum()) for row in want.sequences}) > 1
