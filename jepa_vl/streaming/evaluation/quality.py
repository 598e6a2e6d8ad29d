"""How good the decodes of a stream are for its annotations (section 4.6), before any text is compared."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jepa_vl.streaming.base import Decode, EmbeddingStream, Policy

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NONE = -1  # no decode to compare an annotation with
_LEVEL = 1e-9  # seconds; times are sums of decimal fractions


@dataclass(frozen=True)
class Matches:
    """The decodes of one stream beside its k annotations.

    Attributes:
        nearest: The decode that each annotation is compared with ``[k]``; `NONE` where there is none.
        latency: Seconds from each annotation to the first decision about it ``[k]``; NaN where no decode lies
            within the tolerance of it.
        calls: Number of decodes.
        about: How many of them lie within the tolerance of an annotation.
    """

    nearest: Ints
    latency: Floats
    calls: int
    about: int


def nearest_in_time(at: Floats, seconds: Floats) -> Ints:
    """Return for each of ``seconds [k]`` the place of the nearest of ``at [m]``, of level ones the earlier.

    Args:
        at: Not decreasing.
        seconds: Any.
    """
    if not len(at):
        return np.full(len(seconds), NONE)
    after = np.searchsorted(at, seconds).clip(max=len(at) - 1)
    before = (after - 1).clip(min=0)
    earlier = np.abs(seconds - at[before]) <= np.abs(at[after] - seconds) + _LEVEL
    return np.searchsorted(at, at[np.where(earlier, before, after)])  # of equal times the first


def match(decodes: Sequence[Decode], seconds: Sequence[float], *, tolerance: float) -> Matches:
    """Compare the decodes of a stream with the seconds of its annotations.

    Args:
        decodes: In order of `Decode.at`.
        seconds: Of the k annotations, in any order.
        tolerance: How far from an annotation a decode may lie to be about it, in seconds.
    """
    at = np.array([d.at for d in decodes], dtype=np.float64)
    asked = np.array(seconds, dtype=np.float64)
    decided = np.array([d.decided for d in decodes], dtype=np.float64)
    first = np.searchsorted(at, asked - tolerance - _LEVEL, side="left")
    stop = np.searchsorted(at, asked + tolerance + _LEVEL, side="right")
    latency = [
        decided[i:j].min() - t if i < j else np.nan for i, j, t in zip(first, stop, asked, strict=True)
    ]
    edges = np.zeros(len(at) + 1)  # +1 where the decodes about an annotation begin, -1 behind them
    np.add.at(edges, first, 1)
    np.add.at(edges, stop, -1)
    return Matches(
        nearest=nearest_in_time(at, asked),
        latency=np.array(latency, dtype=np.float64),
        calls=len(decodes),
        about=int((edges.cumsum() > 0).sum()),
    )


def timed(policy: Policy, stream: EmbeddingStream, rate: float) -> tuple[list[Decode], float]:
    """Return a policy's decodes of a stream, and the seconds of computing that they took.

    Nothing is prepared: what a policy keeps of a stream for other rates, a tree say, is made for this one.
    """
    fresh = replace(stream)
    begin = time.perf_counter()
    decodes = policy.decide(fresh, rate)
    return decodes, time.perf_counter() - begin
