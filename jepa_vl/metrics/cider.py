"""CIDEr-D (Vedantam et al., arXiv 1411.5726), with all captions' n-grams counted at once, as integers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from jepa_vl.metrics.caption_metric import CaptionMetric, Tokens

ORDERS, SIGMA = 4, 6.0
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class CIDEr(CaptionMetric):
    """CIDEr-D as pycocoevalcap's ``Cider``: 1- to 4-grams, σ = 6, × 10.

    Document frequencies are those of the references given. Papers print 100 times
    this value: 1.2 is "CIDEr 120".

    Example:
        >>> metric = CIDEr()
        >>> metric.update([0, 1], ["a red ball", "a key"], [["a red ball"], ["a blue key", "one key"]])
        >>> round(float(metric.compute()), 3)
        4.628
    """

    def _scores(self, predictions: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> Tensor:
        return torch.from_numpy(cider_scores(predictions, references))


def cider_scores(predictions: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> Floats:
    """Score n predictions, with the document frequencies of all n lists of references.

    Args:
        predictions: Tokens of each.
        references: For each, the tokens of one caption or more.

    Returns:
        float64 ``[n]``; CIDEr is their mean.
    """
    n = len(predictions)
    captions = [*predictions, *chain.from_iterable(references)]
    counts = np.array([len(each) for each in references], dtype=np.int64)
    video = np.concatenate([np.arange(n), np.repeat(np.arange(n), counts)])  # of each caption
    number: dict[str, int] = {}
    words = np.array(
        [number.setdefault(word, len(number)) for caption in captions for word in caption], dtype=np.int64
    )
    lengths = np.array([len(caption) for caption in captions], dtype=np.int64)
    owner = np.repeat(np.arange(len(captions)), lengths)  # caption of each word

    total = np.zeros(len(captions) - n)  # of each reference
    start, gram = np.arange(len(words)), words  # where each n-gram begins, and its number
    for order in range(1, ORDERS + 1):
        if order > 1:  # an n-gram is an (n-1)-gram and one more word of the same caption
            longer = start + order - 1 < len(words)
            longer[longer] = owner[start[longer]] == owner[start[longer] + order - 1]
            start, gram = start[longer], gram[longer]
            _, gram = np.unique(gram * len(number) + words[start + order - 1], return_inverse=True)
        total += _similarity(owner[start], gram, video, n)

    # the reference measures length in bigrams
    size = np.maximum(lengths - 1, 0)
    off = size[video[n:]] - size[n:]
    total *= np.exp(-(off**2) / (2 * SIGMA**2))
    return 10 / ORDERS * np.bincount(video[n:], total, minlength=n) / counts


def _similarity(caption: Ints, gram: Ints, video: Ints, n: int) -> Floats:
    """Clipped tf-idf cosine of every reference with its prediction, for the n-grams of one order.

    ``caption`` and ``gram`` name each occurrence; captions below ``n`` are the predictions.
    """
    base = int(gram.max()) + 1 if len(gram) else 1
    keys, tf = np.unique(caption * base + gram, return_counts=True)
    caption, gram = keys // base, keys % base
    said = int(np.searchsorted(caption, n))  # entries before are of predictions
    of = video[caption[said:]]
    lookup = of * base + gram[said:]  # (video, n-gram) of each reference's entry
    df = np.bincount(np.unique(lookup) % base, minlength=base)
    idf = np.log(float(n)) - np.log(np.maximum(df, 1)) if n else np.zeros(base)
    norm = np.sqrt(np.bincount(caption, (tf * idf[gram]) ** 2, minlength=len(video)))

    # how often the prediction says each n-gram of the reference; nothing equals the last key
    known = np.append(keys[:said], np.iinfo(np.int64).max)
    at = np.searchsorted(known, lookup)
    times = np.where(known[at] == lookup, np.append(tf[:said], 0)[at], 0)
    products = np.minimum(times, tf[said:]) * tf[said:] * idf[gram[said:]] ** 2
    # astype: of no words at all, bincount makes integers
    dot = np.bincount(caption[said:] - n, products, minlength=len(video) - n).astype(np.float64)
    scale = norm[video[n:]] * norm[n:]
    return np.divide(dot, scale, out=np.zeros_like(dot), where=scale > 0)
