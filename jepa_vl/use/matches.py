"""`Match`: one of several texts or videos; what may be chosen from, and what fits best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from jepa_vl.errors import UserError


class Match(NamedTuple):
    """One of several texts or videos, and how well it fits.

    Attributes:
        text: The label, the answer, or the name of the video (its path, else its place in the list).
        score: Cosine similarity, or mean log-likelihood a token where the objective has no embeddings.
        position: Its place among what there was to choose from.
    """

    text: str
    score: float
    position: int


def choices(texts: Sequence[str], what: str) -> list[str]:
    """Return distinct texts to choose from.

    Raises:
        UserError: There are none, one is blank, or one occurs twice.
    """
    if isinstance(texts, str):
        raise UserError(f"{what}s must be a list of texts, not the one text '{texts}'")
    chosen = list(texts)
    if not chosen:
        raise UserError(f"there is no {what} to choose from")
    if blank := [i for i, text in enumerate(chosen) if not text.strip()]:
        raise UserError(f"{what} {blank[0] + 1} of {len(chosen)} is blank")
    if twice := [text for text, times in Counter(chosen).items() if times > 1]:
        more = f" and {len(twice) - 1} more" if len(twice) > 1 else ""
        raise UserError(f"{what} '{twice[0]}'{more} occurs more than once; {what}s must be distinct")
    return chosen


def best(texts: Sequence[str], scores: Tensor, top: int) -> list[Match]:
    """Return the ``top`` of K texts by their scores ``[K]``; of equal ones the first comes first."""
    order = scores.argsort(descending=True, stable=True)[: max(top, 1)].tolist()
    return [Match(texts[i], float(scores[i]), i) for i in order]
