"""Texts → padded ids, with a count of those that were too long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from jepa_vl.sample import TextTokens


class TextTokenizer:
    """A Hugging Face tokenizer with a context length. Picklable, so that data workers can tokenise.

    Args:
        tokenizer: Any ``PreTrainedTokenizer``.
        max_length: Longest text in tokens; the rest is cut off and counted.
        special_tokens: Whether the tokenizer adds its own begin and end tokens.
        suffix: Ids put behind each text, after truncation (an end-of-text token).
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        max_length: int,
        special_tokens: bool = True,
        suffix: Sequence[int] = (),
    ) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.special_tokens = special_tokens
        self.suffix = tuple(suffix)

    @property
    def pad_id(self) -> int:
        """The id that fills up a row; masked wherever it does."""
        pad = self.tokenizer.pad_token_id
        return int(pad) if pad is not None else 0

    def __call__(self, texts: Sequence[str]) -> TextTokens:
        """Tokenise B texts to ids and mask ``[B, L]``, padded on the right; an empty text has no token."""
        room = self.max_length - len(self.suffix)
        own = self.tokenizer.num_special_tokens_to_add() if self.special_tokens else 0
        rows: list[list[int]] = []
        truncated = 0
        # tokenised once without a limit, so that what is cut off can be counted
        full = (
            self.tokenizer(list(texts), add_special_tokens=False, truncation=False)["input_ids"]
            if texts
            else []
        )
        for text, ids in zip(texts, full, strict=True):
            if not text:
                rows.append([])
                continue
            if len(ids) > room - own:
                truncated += 1
                ids = ids[: room - own]
            if self.special_tokens:
                ids = self.tokenizer.build_inputs_with_special_tokens(ids)
            rows.append([*ids, *self.suffix])
        length = max((len(r) for r in rows), default=0)
        ids_tensor = torch.full((len(rows), length), self.pad_id, dtype=torch.long)
        mask = torch.zeros((len(rows), length), dtype=torch.bool)
        for i, row in enumerate(rows):
            ids_tensor[i, : len(row)] = torch.tensor(row, dtype=torch.long)
            mask[i, : len(row)] = True
        return TextTokens(ids=ids_tensor, mask=mask, truncated=truncated)
