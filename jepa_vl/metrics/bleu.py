"""Corpus BLEU-1 to BLEU-4 (Papineni et al., 2002) from counts that add up over captions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from jepa_vl.metrics.caption_metric import CaptionMetric, Tokens

ORDERS = 4
TINY, SMALL = 1e-15, 1e-9  # pycocoevalcap's: a caption without words has BLEU 0, not 0/0
Floats = npt.NDArray[np.float64]


class BLEU(CaptionMetric):
    """BLEU-1 … BLEU-4 of the corpus, ``[4]``, as pycocoevalcap's ``Bleu`` with the closest reference length.

    `per_sample` gives the BLEU of each caption alone, whose mean is another number than the corpus BLEU.

    Example:
        >>> metric = BLEU()
        >>> metric.update([0], ["pick up the red ball"], [["pick up the blue ball", "go to the red ball"]])
        >>> bleu = metric.compute()
        >>> round(float(bleu[2]), 3)
        0.874
    """

    def _scores(self, predictions: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> Tensor:
        return torch.from_numpy(bleu_of(bleu_counts(predictions, references)))

    def compute(self) -> Tensor:
        """Return BLEU-1 … BLEU-4 of the corpus, float64 ``[4]`` on the CPU."""
        _, predictions, references = self._captions()
        return torch.from_numpy(bleu_of(bleu_counts(predictions, references).sum(axis=0)))


def bleu_counts(predictions: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> Floats:
    """Return what BLEU needs of each caption ``[n, 10]``; a corpus is the sum of its captions.

    The columns: n-grams that a reference has too, for n = 1…4; n-grams said, for n = 1…4; the caption's
    length; the length of the reference that is closest in length, the shorter of two equally close.
    """
    rows = np.zeros((len(predictions), 2 * ORDERS + 2))
    for row, said, expected in zip(rows, predictions, references, strict=True):
        most: Counter[tuple[str, ...]] = Counter()
        for caption in expected:
            most |= _ngrams(caption)
        for ngram, times in _ngrams(said).items():
            row[len(ngram) - 1] += min(times, most[ngram])
        length = len(said)
        row[ORDERS : 2 * ORDERS] = [max(0, length - k) for k in range(ORDERS)]
        row[-2:] = length, min((abs(len(c) - length), len(c)) for c in expected)[1]
    return rows


def bleu_of(counts: Floats) -> Floats:
    """Turn counts ``[..., 10]`` into BLEU-1 … BLEU-4 ``[..., 4]``."""
    correct, guessed = counts[..., :ORDERS], counts[..., ORDERS : 2 * ORDERS]
    precision = np.cumprod((correct + TINY) / (guessed + SMALL), axis=-1)
    mean: Floats = precision ** (1 / np.arange(1, ORDERS + 1))
    ratio = (counts[..., -2:-1] + TINY) / (counts[..., -1:] + SMALL)
    return mean * np.exp(np.minimum(0, 1 - 1 / ratio))


def _ngrams(words: Tokens) -> Counter[tuple[str, ...]]:
    words = tuple(words)
    return Counter(words[i : i + k] for k in range(1, ORDERS + 1) for i in range(len(words) - k + 1))
