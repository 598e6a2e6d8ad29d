"""Where in a segment the text is read, and from which embedding."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from jepa_vl.streaming.base import EmbeddingStream

#: ``midpoint``: the window nearest to the middle of the segment in time (the paper, section 4.6).
#: ``medoid``: the window most like the segment's mean.
#: ``distinct``: the window least like the stream's mean. A stretch of nothing makes up most of that mean;
#: what differs from it is worth saying.
Point = Literal["midpoint", "medoid", "distinct"]


def point_of(stream: EmbeddingStream, start: int, stop: int, point: Point) -> int:
    """Return the window at which the segment ``[start, stop)`` is read; the first of equally good ones."""
    if point == "midpoint":
        middle = (stream.times[start] + stream.times[stop - 1]) / 2
        return start + int(np.abs(stream.times[start:stop] - middle).argmin())
    segment = stream.embeddings[start:stop]  # [n, E]
    if point == "medoid":
        return start + int((segment @ segment.mean(axis=0)).argmax())
    return start + int((segment @ stream.embeddings.mean(axis=0)).argmin())


def unit_mean(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean direction of ``[n, E]``; the middle one where they cancel out."""
    mean = embeddings.mean(axis=0)
    norm = float(np.linalg.norm(mean))
    return mean / norm if norm > 1e-6 else embeddings[len(embeddings) // 2]


def edges(stream: EmbeddingStream, start: int, stop: int) -> tuple[float, float]:
    """Return the seconds between which the windows ``[start, stop)`` stand: halfway to their neighbours."""
    times, last = stream.times, len(stream) - 1
    begin = stream.begun if start == 0 else float(times[start - 1] + times[start]) / 2
    end = stream.duration if stop > last else float(times[stop - 1] + times[stop]) / 2
    return begin, end
