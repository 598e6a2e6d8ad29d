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
        prompt: Text put before each text.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        max_length: int,
        special_tokens: bool = True,
        suffix: Sequence[int] = (),
        prompt: str = "",
    ) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.special_tokens = special_tokens
        self.suffix = tuple(suffix)
        self.prompt = prompt

    @property
    def pad_id(self) -> int:
        """The id that fills up a row; masked wherever it does."""
        pad = self.tokenizer.pad_token_id
        return int(pad) if pad is not None else 0

    def __call__(self, texts: Sequence[str]) -> TextTokens:
        """Tokenise B texts to ids and mask ``[B, L]``, padded on the right; an empty text has no token."""
        room = self.max_length - len(self.suffix)
        filled = [i for i, text in enumerate(texts) if text]
        # first without a limit, so that what is cut off can be counted
        ids = self._ids([texts[i] for i in filled], limit=None)
        long = [i for i, row in enumerate(ids) if len(row) > room]
        for i, row in zip(long, self._ids([texts[filled[i]] for i in long], limit=room), strict=True):
            ids[i] = row
        rows: list[list[int]] = [[] for _ in texts]
        for i, row in zip(filled, ids, strict=True):
            rows[i] = [*row, *self.suffix]
        length = max((len(r) for r in rows), default=0)
        ids_tensor = torch.full((len(rows), length), self.pad_id, dtype=torch.long)
        mask = torch.zeros((len(rows), length), dtype=torch.bool)
        for i, row in enumerate(rows):
            ids_tensor[i, : len(row)] = torch.tensor(row, dtype=torch.long)
            mask[i, : len(row)] = True
        return TextTokens(ids_tensor, mask, truncated=len(long), rows=tuple(tuple(row) for row in rows))

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of a row of ids, without special tokens."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    def _ids(self, texts: list[str], *, limit: int | None) -> list[list[int]]:
        if not texts:
            return []
        encoded = self.tokenizer(
            [self.prompt + text for text in texts],
            add_special_tokens=self.special_tokens,
            truncation=limit is not None,
            max_length=limit,
            verbose=False,
        )
        return list(encoded["input_ids"])
