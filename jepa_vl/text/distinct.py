"""The distinct rows of a batch of texts, so that a repeated text is encoded once."""

from __future__ import annotations

import torch
from torch import Tensor

from jepa_vl.sample import TextTokens
from jepa_vl.transfer import send


def distinct_rows(text: TextTokens) -> tuple[TextTokens, Tensor]:
    """Return the U distinct rows ``[U, L]``, and for each of the B rows its place among them ``[B]``."""
    if text.ids.shape[1] == 0:
        return TextTokens(text.ids[:1], text.mask[:1]), text.ids.new_zeros(len(text.ids))
    if text.rows is not None:
        return _known_rows(text, text.rows)
    marked = torch.where(text.mask, text.ids, -1)  # padding is no token, whatever its id
    rows, where = marked.unique(dim=0, return_inverse=True)
    return TextTokens(rows.clamp(min=0), rows >= 0), where


def _known_rows(text: TextTokens, rows: tuple[tuple[int, ...], ...]) -> tuple[TextTokens, Tensor]:
    """The same, in the same order, where the CPU knows the rows: nothing waits for the device."""
    first: dict[tuple[int, ...], int] = {}
    for i, row in enumerate(rows):
        first.setdefault(row, i)
    kept = sorted(first)  # as `Tensor.unique` has them, with a shorter row before a longer one
    place = {row: i for i, row in enumerate(kept)}
    firsts, where = (
        send(torch.tensor(found), text.ids.device)
        for found in ([first[row] for row in kept], [place[row] for row in rows])
    )
    return TextTokens(text.ids[firsts], text.mask[firsts], rows=tuple(kept)), where
