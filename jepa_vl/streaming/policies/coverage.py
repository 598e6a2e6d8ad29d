"""Coverage: the decode times that stand best for the whole stream, found exactly by dynamic programming."""

from __future__ import annotations

import heapq
import itertools
import weakref

import numpy as np
from numpy.typing import NDArray

from jepa_vl.streaming.base import EmbeddingStream
from jepa_vl.streaming.checks import require_finite

#: Windows over which the optimum is exact; a longer stream is cut into stretches of at most so many.
BLOCK = 1000


def weigh(stream: EmbeddingStream, seconds: float | None, sharpness: float) -> NDArray[np.float64]:
    """Return the weight of each window ``[n]``: its novelty to the power of ``sharpness``, 1 in the mean.

    The novelty is the cosine distance from the mean of ``± seconds`` around the window, of the whole stream
    with None. So a stretch in which little happens has little of it, however long it is. Where nothing
    happens at all, windows weigh alike.
    """
    n = len(stream)
    rows = stream.embeddings.astype(np.float64)  # [n, E]
    total = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0)])  # [n + 1, E]
    reach = stream.duration if seconds is None else seconds
    first = np.searchsorted(stream.times, stream.times - reach - 1e-9)
    stop = np.searchsorted(stream.times, stream.times + reach + 1e-9)
    around = total[stop] - total[first]  # [n, E]
    norm = np.linalg.norm(around, axis=1)
    novelty = np.maximum(1 - np.einsum("ne,ne->n", rows, around) / np.maximum(norm, 1e-12), 0.0)
    if novelty.mean() <= 1e-6:  # rounding is no novelty
        return np.ones(n)
    weights = (novelty / novelty.mean()) ** sharpness
    return weights / weights.mean()


class Coverage:
    """The best k windows of a stretch, for any k: those that stand best for all windows of it.

    Each window is stood for by the chosen one that is nearest in time, as an annotation is by the nearest
    decode in the protocol of section 4.6. A choice covers ``sum of weight · cosine(window, chosen)``, and the
    largest such sum is found over all choices of k, which those of uniform decoding are among.

    Takes memory ``4 n²`` bytes (five times that while it is made), and time ``n²`` for each k.

    Args:
        times: Seconds ``[n]``.
        embeddings: ``[n, E]``.
        weights: ``[n]``, at least 0.
    """

    def __init__(
        self,
        times: NDArray[np.float64],
        embeddings: NDArray[np.float32],
        weights: NDArray[np.float64],
    ) -> None:
        n = len(times)
        rows = embeddings.astype(np.float64)
        value = (rows @ rows.T) * weights  # [n, n], what window t (column) gains when p (row) stands for it
        upto = np.concatenate([np.zeros((n, 1)), np.cumsum(value, axis=1)], axis=1)  # [n, n + 1], columns < t
        own = upto[np.arange(n), np.arange(n)]  # [n], all before p
        # first window that is nearer to the later of two chosen ones
        cut = np.searchsorted(times, (times[:, None] + times) / 2, side="right")  # [n, n]
        before = own[:, None] - np.take_along_axis(upto, cut, axis=1)  # [p, q]: from the cut to p
        after = np.take_along_axis(upto, cut, axis=1) - own[:, None]  # [q, p]: from q to the cut
        #: ``[p, q]``: what is gained between q and a later p, chosen one after the other.
        self._between = (before + after.T).astype(np.float32)
        self._between[np.triu_indices(n)] = -np.inf
        self._tail = (upto[:, n] - own).astype(np.float32)  # [n]
        self._best = own.astype(np.float32)  # [n], of the choices so far that end with p
        self._previous: list[NDArray[np.int32]] = []  # for each further choice, the one before p
        self._last: list[int] = []
        self._covered: list[float] = []
        self.n = n

    def covered(self, number: int) -> float:
        """Return what the best choice of ``number`` windows, 0 to n, covers."""
        while len(self._last) < number:
            self._extend()
        return self._covered[number - 1] if number else 0.0

    def windows(self, number: int) -> list[int]:
        """Return the best choice of ``number`` windows, 0 to n, in order."""
        if number in (0, self.n):
            return list(range(number))
        self.covered(number)
        chosen = [self._last[number - 1]]
        for previous in reversed(self._previous[: number - 1]):
            chosen.append(int(previous[chosen[-1]]))
        return chosen[::-1]

    def _extend(self) -> None:
        if self._last:
            through = self._between + self._best  # [p, q]
            previous = through.argmax(axis=1)
            self._best = through[np.arange(self.n), previous]
            self._previous.append(previous.astype(np.int32))
        whole = self._best + self._tail
        self._last.append(int(whole.argmax()))
        self._covered.append(float(whole.max()))


class StreamCoverage:
    """The best windows of a stream of any length: exact up to `BLOCK` windows.

    Longer ones are cut into stretches of equal length, and each further choice goes to the stretch where it
    gains most.
    """

    def __init__(self, stream: EmbeddingStream, weights: NDArray[np.float64], *, block: int = BLOCK) -> None:
        blocks = -(-len(stream) // block)
        cuts = np.linspace(0, len(stream), blocks + 1).astype(int).tolist()
        self.weights = weights
        self._starts = cuts[:-1]
        self._blocks = [
            Coverage(stream.times[a:b], stream.embeddings[a:b], weights[a:b])
            for a, b in itertools.pairwise(cuts)
        ]

    def windows(self, number: int) -> list[int]:
        """Return ``number`` windows, 1 to n, in order."""
        shares = [0] * len(self._blocks)
        if len(self._blocks) == 1:
            shares = [number]
        else:
            heap = [(-block.covered(1), i) for i, block in enumerate(self._blocks)]
            heapq.heapify(heap)
            for _ in range(number):
                _, i = heapq.heappop(heap)
                shares[i] += 1
                block, k = self._blocks[i], shares[i]
                if k < block.n:
                    heapq.heappush(heap, (block.covered(k) - block.covered(k + 1), i))
        return [
            start + window
            for start, block, share in zip(self._starts, self._blocks, shares, strict=True)
            for window in block.windows(share)
        ]


def coverage_of(stream: EmbeddingStream, seconds: float | None, sharpness: float) -> StreamCoverage:
    """Return the coverage of a stream, made once however many rates ask for it.

    Raises:
        UserError: An embedding is not finite.
    """
    key = id(stream), seconds, sharpness
    if key not in _made:
        require_finite(stream)
        _made[key] = StreamCoverage(stream, weigh(stream, seconds, sharpness))
        weakref.finalize(stream, _made.pop, key, None)
    return _made[key]


#: (id of a stream, its weights' settings) → its coverage, as long as the stream lives.
_made: dict[tuple[int, float | None, float], StreamCoverage] = {}
