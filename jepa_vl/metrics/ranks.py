"""The rank of each query's best positive in a gallery, and what is read off ranks: R@k, median, chance."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from jepa_vl.errors import UserError

#: Scores that differ by less are ties: closer than float32 embeddings of one text in two batches are.
TIE = 1e-6

_CELLS = 2**23  # similarities in memory at a time, 64 MB of float64


def ranks_of_scores(scores: Tensor, positive: Tensor) -> Tensor:
    """Rank each query's best positive by given scores; 1 is best.

    Positives are not each other's rivals: the rank is 1 + the number of negatives before the best positive.
    Ties count as their expectation over random orders: m negatives level with the best q positives add
    m/(q+1), so that equal scores throughout give the rank of a guess and no reward for a collapse.

    Args:
        scores: ``[Q, G]``, higher is better.
        positive: bool ``[Q, G]``.

    Returns:
        float64 ``[Q]``.

    Raises:
        UserError: A score is NaN: it is before and behind nothing, and would leave its query the first rank.
        ValueError: A query has no positive.
    """
    without = int((~positive.any(dim=1)).sum())
    if without:
        raise ValueError(f"{without} of {len(positive)} queries have no positive in the gallery")
    unknown = int(scores.isnan().any(dim=1).sum())
    if unknown:
        raise UserError(
            f"{unknown} of {len(scores)} queries have scores that are NaN and cannot be ranked; was the "
            "model trained to the end, and in which precision is it run?"
        )
    scores = _double(scores)
    positive = positive.to(scores.device)
    best = scores.masked_fill(~positive, -math.inf).amax(dim=1, keepdim=True)  # [Q, 1]
    level = (scores == best) | ((scores - best).abs() <= TIE)  # the difference of two infinities is no number
    before = (~positive & ~level & (scores > best)).sum(dim=1)
    rivals = (~positive & level).sum(dim=1)
    equals = (positive & level).sum(dim=1)
    return 1.0 + before + rivals / (equals + 1.0).double()


def ranks(
    queries: Tensor, gallery: Tensor, positives: Sequence[Sequence[int]], *, chunk: int | None = None
) -> Tensor:
    """Rank each query's best positive by cosine similarity, without a Q × G matrix in memory.

    Args:
        queries: ``[Q, E]``.
        gallery: ``[G, E]``.
        positives: For each of the Q queries, its positives' places in the gallery.
        chunk: Queries compared at a time, by default as many as a fixed memory allows; does not change the
            result.

    Returns:
        float64 ``[Q]``; see `ranks_of_scores` for ties.

    Raises:
        UserError: A similarity is NaN.
        ValueError: A query has no positive, or there are not as many lists of positives as queries.
    """
    if len(positives) != len(queries):
        raise ValueError(f"{len(positives)} lists of positives for {len(queries)} queries")
    entries = normalize(_double(gallery), dim=-1)  # [G, E]
    step = max(1, _CELLS // max(1, len(gallery))) if chunk is None else chunk
    found = [torch.empty(0, dtype=torch.float64, device=entries.device)]
    for start in range(0, len(queries), step):
        unit = normalize(_double(queries[start : start + step]), dim=-1)  # [q, E]
        mask = positive_mask(positives[start : start + step], len(gallery))  # [q, G]
        found.append(ranks_of_scores(unit @ entries.T, mask))
    return torch.cat(found)


def positive_mask(positives: Sequence[Sequence[int]], size: int) -> Tensor:
    """Turn each of Q queries' places in a gallery of ``size`` into bool ``[Q, size]``."""
    mask = torch.zeros(len(positives), size, dtype=torch.bool)
    rows = [i for i, places in enumerate(positives) for _ in places]
    mask[rows, [place for places in positives for place in places]] = True
    return mask


def hits_at(ranks: Tensor, k: int) -> Tensor:
    """Return 1 for each query whose rank is at most ``k``, else 0: float64 ``[Q]``."""
    return (ranks <= k).double()


def recall_at(ranks: Tensor, k: int) -> float:
    """R@k: the share of queries whose best positive is among the first ``k``."""
    return float(hits_at(ranks, k).mean())


def median_rank(ranks: Tensor) -> float:
    """Median rank; the mean of the middle two where the number of queries is even."""
    return float(ranks.double().quantile(0.5))


def chance_recall(k: int, *, gallery: int, positives: int | Iterable[int] = 1) -> float:
    """R@k of a random order: 1 - C(G-p, k) / C(G, k), the hypergeometric chance of no positive in k draws.

    Args:
        k: How many of the first entries count.
        gallery: G, the number of entries.
        positives: p, how many of them are positives; one number for each query gives the mean over queries.
    """
    each = Counter([positives] if isinstance(positives, int) else positives)
    k = min(k, gallery)
    missed = sum(n * math.comb(gallery - p, k) / math.comb(gallery, k) for p, n in each.items())
    return 1.0 - missed / each.total()


def chance_median_rank(*, gallery: int, positives: int | Iterable[int] = 1) -> float:
    """Median rank of a random order: (G+1)/2 where each query has one positive.

    The arguments are those of `chance_recall`, whose curve over k this inverts.
    """
    each = [positives] if isinstance(positives, int) else list(positives)

    def recall(k: int) -> float:
        return chance_recall(k, gallery=gallery, positives=each)

    places = range(1, gallery + 1)
    at_least = places[bisect_left(places, 0.5 - 1e-9, key=recall)]
    more_than = places[bisect_left(places, 0.5 + 1e-9, key=recall)]
    return (at_least + more_than) / 2


def _double(x: Tensor) -> Tensor:
    # some accelerators have no float64
    return x.cpu().double() if x.device.type == "mps" else x.double()
