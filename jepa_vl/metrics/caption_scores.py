"""Everything that captions are scored by at once: what each caption counts for, and how counts add up."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from jepa_vl.metrics.bleu import bleu_counts, bleu_of
from jepa_vl.metrics.bootstrap import Floats, bootstrap_interval
from jepa_vl.metrics.caption_tokens import Caption, as_tokens
from jepa_vl.metrics.cider import cider_scores
from jepa_vl.metrics.rouge import rouge_scores

CIDER, BLEU4, ROUGE, EXACT = "CIDEr", "BLEU-4", "ROUGE-L", "exact match"


def caption_scores(
    predictions: Sequence[Caption], references: Sequence[Sequence[Caption]]
) -> dict[str, Floats]:
    """Score n captions: by metric what each scored ``[n]``, or for BLEU-4 its counts ``[n, 10]``."""
    said = [as_tokens(caption) for caption in predictions]
    expected = [[as_tokens(caption) for caption in each] for each in references]
    return {
        CIDER: cider_scores(said, expected),
        BLEU4: bleu_counts(said, expected),
        ROUGE: rouge_scores(said, expected),
        EXACT: np.array([float(s in each) for s, each in zip(said, expected, strict=True)]),
    }


def corpus_score(values: Floats) -> float:
    """Return the number for all captions: the mean of ``[n]``, or the BLEU-4 of counts ``[n, 10]``."""
    return float(values.mean() if values.ndim == 1 else bleu_of(values.sum(axis=0))[-1])


def corpus_interval(values: Floats, units: Sequence[Hashable]) -> tuple[float, float]:
    """Return the bootstrap 95 % interval of `corpus_score`; captions of one unit are drawn together."""
    if values.ndim == 1:
        return bootstrap_interval(values, groups=units)
    # the counts are resampled, because the BLEU of a corpus is not a mean of its captions
    return bootstrap_interval(
        values[:, 0], groups=units, statistic=lambda _, weights: bleu_of(weights @ values)[:, -1]
    )
