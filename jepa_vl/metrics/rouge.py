"""ROUGE-L (Lin, 2004): the longest common subsequence of words, in one pass of integer arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from jepa_vl.metrics.caption_metric import CaptionMetric, Tokens

BETA = 1.2  # weight of recall beside precision


class ROUGEL(CaptionMetric):
    """ROUGE-L as pycocoevalcap's ``Rouge``: best precision and best recall over the references, β = 1.2.

    Example:
        >>> metric = ROUGEL()
        >>> metric.update([0], ["pick up the ball"], [["pick up the red ball"]])
        >>> round(float(metric.compute()), 3)
        0.871
    """

    def _scores(self, predictions: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> Tensor:
        return torch.from_numpy(rouge_scores(predictions, references))


def rouge_scores(
    predictions: Sequence[Tokens], references: Sequence[Sequence[Tokens]]
) -> npt.NDArray[np.float64]:
    """Score each of n predictions: float64 ``[n]``."""
    return np.array(
        [_score(said, expected) for said, expected in zip(predictions, references, strict=True)],
        dtype=np.float64,
    )


def _score(said: Tokens, expected: Sequence[Tokens]) -> float:
    said = said or ("",)  # pycocoevalcap takes an empty caption for one empty word
    common = [(common_length(said, caption or ("",)), len(caption) or 1) for caption in expected]
    precision = max(c for c, _ in common) / len(said)
    recall = max(c / length for c, length in common)
    if not precision:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def common_length(a: Tokens, b: Tokens) -> int:
    """Length of the longest common subsequence, with one bit for each word of ``a``.

    Hyyrö, "Bit-parallel LCS-length computation revisited" (2004): after each word of ``b``, the zero bits
    are the places where the length grows.
    """
    where: dict[str, int] = {}
    for i, word in enumerate(a):
        where[word] = where.get(word, 0) | 1 << i
    every = (1 << len(a)) - 1
    ones = every
    for word in b:
        match = ones & where.get(word, 0)
        ones = ((ones + match) | (ones - match)) & every
    return len(a) - ones.bit_count()
