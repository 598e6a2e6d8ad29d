"""How likely a language model finds texts: the scores of candidates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from jepa_vl.language.base import LanguageModel
from jepa_vl.language.prefix import Prefix
from jepa_vl.sample import TextTokens

#: How much is scored at once: tokens, and positions in the expanded cache.
TOKENS_AT_ONCE = 2048
POSITIONS_AT_ONCE = 16_384


def log_likelihoods(
    language_model: LanguageModel, prefix: Prefix, texts: TextTokens, pairs: Sequence[tuple[int, int]]
) -> Tensor:
    """Mean log-likelihood a token of texts that follow a prefix, which is read once for all of them.

    Args:
        language_model: The model that read the prefix.
        prefix: Of B rows.
        texts: K texts ``[K, L]`` with their end tokens; one without any token, or with one that the model
            cannot say, scores -∞.
        pairs: M times (row of the prefix, row of the texts).

    Returns:
        ``[M]``.
    """
    scores = prefix.last.new_full((len(pairs),), -torch.inf, dtype=torch.float32)
    lengths = texts.mask.sum(dim=1).tolist()
    # long with long: a block is padded to its longest text
    order = sorted((i for i, (_, k) in enumerate(pairs) if lengths[k]), key=lambda i: -lengths[pairs[i][1]])
    for block in _blocks(order, [lengths[k] for _, k in pairs], prefix.mask.shape[1]):
        rows = torch.tensor([pairs[i][0] for i in block], device=scores.device)  # [m]
        chosen = torch.tensor([pairs[i][1] for i in block], device=scores.device)  # [m]
        longest = lengths[pairs[block[0]][1]]
        text = TextTokens(texts.ids[chosen, :longest], texts.mask[chosen, :longest])
        scores[torch.tensor(block, device=scores.device)] = _block_scores(language_model, prefix, rows, text)
    return scores


def _block_scores(language_model: LanguageModel, prefix: Prefix, rows: Tensor, text: TextTokens) -> Tensor:
    states = prefix.last[rows].unsqueeze(1)  # [m, 1, d]
    if text.ids.shape[1] > 1:
        # what the last token would predict is of no interest
        mask = torch.cat((prefix.mask[rows], text.mask[:, :-1]), dim=1)  # [m, P + L - 1]
        cache = language_model.cache_rows(prefix.cache, rows)
        further, _ = language_model(language_model.embed(text.ids[:, :-1]), mask, cache=cache)
        states = torch.cat((states, further), dim=1)  # [m, L, d]
    losses = torch.zeros(text.ids.shape, device=rows.device, dtype=torch.float32)  # [m, L]
    losses[text.mask] = language_model.token_losses(states[text.mask], text.ids[text.mask]).each
    return -losses.sum(dim=1) / text.mask.sum(dim=1)


def _blocks(order: list[int], lengths: list[int], prefix_length: int) -> Iterator[list[int]]:
    """Split pairs, longest first, into blocks that fit the two limits."""
    start = 0
    while start < len(order):
        length = lengths[order[start]]
        size = max(1, min(TOKENS_AT_ONCE // length, POSITIONS_AT_ONCE // (prefix_length + length)))
        yield order[start : start + size]
        start += size
