"""Decodes of windows that are chosen one by one: each stands for what it is nearest to in time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jepa_vl.streaming.base import Decode, EmbeddingStream
from jepa_vl.streaming.policies.points import edges


def cells(times: NDArray[np.float64], windows: Sequence[int]) -> list[tuple[int, int]]:
    """Return, for each of the chosen windows, in order, the windows ``[start, stop)`` nearest to it."""
    middles = [(times[a] + times[b]) / 2 for a, b in itertools.pairwise(windows)]
    # as near to both: the earlier one's
    cuts = np.searchsorted(times, middles, side="right").tolist()
    return list(zip([0, *cuts], [*cuts, len(times)], strict=True))


def decode_windows(stream: EmbeddingStream, windows: Sequence[int]) -> list[Decode]:
    """Return the decodes of the chosen windows, made when each has ended."""
    decodes = []
    for at, (start, stop) in zip(windows, cells(stream.times, windows), strict=True):
        begin, end = edges(stream, start, stop)
        decodes.append(
            Decode(
                at=float(stream.times[at]),
                decided=float(stream.times[at]) + stream.window / 2,
                start=begin,
                end=end,
                embedding=stream.embeddings[at],
            )
        )
    return decodes
