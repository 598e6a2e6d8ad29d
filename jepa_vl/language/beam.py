"""Beam search: the likeliest text by its mean log-likelihood a token."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jepa_vl.language.base import LanguageModel
from jepa_vl.language.prefix import Prefix

#: (mean log-likelihood a token, token ids without the end token)
Finished = tuple[float, list[int]]


@torch.no_grad()
def beam(
    language_model: LanguageModel, prefix: Prefix, *, width: int, max_new_tokens: int
) -> list[tuple[str, float]]:
    """Continue each of the prefix's B rows, with ``width`` texts of each in mind.

    A text is as good as the mean log-likelihood of its tokens, the end token included, so that short ones
    have no advantage. A row is done when ``width`` of its texts have ended, or when nothing that goes on
    can become better than what has ended; what has not ended after ``max_new_tokens`` counts as it stands.
    It is `greedy` at width 1, and `transformers`' beam search with early stopping.

    The prefix's cache is used up.

    Returns:
        For each row the best text and its mean log-likelihood a token.
    """
    cache, mask, states = prefix
    rows, live = len(mask), 1
    total = states.new_zeros((rows, 1), dtype=torch.float32)  # [B, live], log-likelihoods
    said = mask.new_zeros((rows, 1, 0), dtype=torch.long)  # [B, live, tokens]
    first = torch.arange(rows, device=mask.device).unsqueeze(1)  # [B, 1]
    finished: list[list[Finished]] = [[] for _ in range(rows)]
    for length in range(1, max_new_tokens + 1):
        step = language_model.logits(states).float().log_softmax(dim=-1)  # [B * live, V]
        vocabulary = step.shape[-1]
        every = (total.unsqueeze(-1) + step.view(rows, live, vocabulary)).flatten(1)  # [B, live * V]
        # of each text at most one continuation ends it: the best 2 * width hold width that go on
        score, where = every.topk(min(2 * width, every.shape[1]), dim=1)
        parent, token = where // vocabulary, language_model.tokens(where % vocabulary)
        texts = torch.cat((said[first, parent], token.unsqueeze(-1)), dim=2)  # [B, candidates, length]
        ended = token == language_model.end_id
        closing = (ended | (length == max_new_tokens)) & score.isfinite()
        _keep(finished, texts, score / length, closing, width=width, end_id=language_model.end_id)
        going = ended.int().argsort(dim=1, stable=True)[:, :width]  # those that go on first, best first
        total = score.masked_fill(ended, -math.inf).gather(1, going)
        if length == max_new_tokens or _done(finished, total, width=width, most=max_new_tokens):
            break
        said = texts[first, going]
        source = (first * live + parent.gather(1, going)).flatten()  # [B * new live]
        live = going.shape[1]
        mask = torch.cat((mask[source], mask.new_ones(rows * live, 1)), dim=1)
        further, cache = language_model(
            language_model.embed(token.gather(1, going).view(-1, 1)),
            mask,
            cache=language_model.cache_rows(cache, source),
            use_cache=True,
        )
        states = further[:, -1]
    best = [max(of_row, key=lambda text: text[0], default=(-math.inf, [])) for of_row in finished]
    return [(language_model.target_tokenizer.decode(ids), score) for score, ids in best]


def _keep(
    finished: list[list[Finished]], texts: Tensor, mean: Tensor, closing: Tensor, *, width: int, end_id: int
) -> None:
    """Note the texts that end among each row's best ``width`` candidates, unless the row is done."""
    for row, place in closing[:, :width].nonzero().tolist():
        if len(finished[row]) < width:
            ids = texts[row, place].tolist()
            finished[row].append((float(mean[row, place]), ids[:-1] if ids[-1] == end_id else ids))


def _done(finished: list[list[Finished]], total: Tensor, *, width: int, most: int) -> bool:
    """Whether no row has anything to gain: the best to hope for is no further loss up to ``most`` tokens."""
    hopes = (total.max(dim=1).values / most).tolist()
    return all(
        len(of_row) >= width or max((score for score, _ in of_row), default=-math.inf) >= hope
        for of_row, hope in zip(finished, hopes, strict=True)
    )
