"""Greedy decoding: the likeliest token, one after the other."""

from __future__ import annotations

import torch

from jepa_vl.language.base import LanguageModel
from jepa_vl.language.prefix import Prefix


def greedy(language_model: LanguageModel, prefix: Prefix, *, max_new_tokens: int) -> list[str]:
    """Continue each of the prefix's B rows until the end token, or for ``max_new_tokens``.

    The prefix's cache is used up.
    """
    cache, mask, states = prefix
    said: list[list[int]] = [[] for _ in range(len(mask))]
    going = torch.ones(len(mask), dtype=torch.bool, device=mask.device)  # [B]
    for _ in range(max_new_tokens):
        token = language_model.tokens(language_model.logits(states).argmax(dim=-1))  # [B]
        going &= token != language_model.end_id
        if not going.any():
            break
        for row in going.nonzero().flatten().tolist():
            said[row].append(int(token[row]))
        # rows that have ended go on too; nobody listens to them
        mask = torch.cat((mask, mask.new_ones(len(mask), 1)), dim=1)  # [B, P + 1]
        further, cache = language_model(
            language_model.embed(token.unsqueeze(1)), mask, cache=cache, use_cache=True
        )
        states = further[:, -1]
    return [language_model.target_tokenizer.decode(ids) for ids in said]
