"""The distinct rows of a batch of texts, so that a repeated text is encoded once."""

from __future__ import annotations

import torch
from torch import Tensor

from jepa_vl.sample import TextTokens


def distinct_rows(text: TextTokens) -> tuple[TextTokens, Tensor]:
    """Return the U distinct rows ``[U, L]``, and for each of the B rows its place among them ``[B]``."""
    if text.ids.shape[1] == 0:
        return TextTokens(text.ids[:1], text.mask[:1]), text.ids.new_zeros(len(text.ids))
    marked = torch.where(text.mask, text.ids, -1)  # padding is no token, whatever its id
    rows, where = marked.unique(dim=0, return_inverse=True)
    return TextTokens(rows.clamp(min=0), rows >= 0), where
