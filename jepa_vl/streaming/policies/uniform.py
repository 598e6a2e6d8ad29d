"""Decoding at a fixed stride: what every policy is compared with (section 4.6)."""

from __future__ import annotations

import numpy as np

from jepa_vl.streaming.base import Decode, EmbeddingStream, Policy
from jepa_vl.streaming.checks import require_finite
from jepa_vl.streaming.policies.points import unit_mean


class UniformPolicy(Policy):
    """Cuts the video into equal intervals and decodes the middle of each.

    It knows nothing of what is seen, so a live system that decodes at a fixed stride does the same.

    Args:
        pooled: Decode the mean direction of the interval's windows, not the window in its middle.
    """

    causal = True

    def __init__(self, *, pooled: bool = False) -> None:
        self.pooled = pooled

    @property
    def label(self) -> str:
        """``uniform`` or ``uniform, pooled``."""
        return "uniform, pooled" if self.pooled else "uniform"

    def decide(self, stream: EmbeddingStream, rate: float) -> list[Decode]:
        """Return one decode for each of ``stream.number(rate)`` equal intervals.

        An interval that holds no window, where the stream has a gap, takes the nearest one.

        Raises:
            UserError: An embedding is not finite.
        """
        require_finite(stream)
        number = stream.number(rate)
        cuts = np.linspace(stream.begun, stream.duration, number + 1)
        # a window on a cut, up to rounding, is the later interval's
        first = np.searchsorted(stream.times, cuts - 1e-6)  # [N + 1]
        return [self._decode(stream, cuts[i], cuts[i + 1], first[i], first[i + 1]) for i in range(number)]

    def _decode(self, stream: EmbeddingStream, start: float, end: float, first: int, stop: int) -> Decode:
        middle = float(start + end) / 2
        nearest = int(np.abs(stream.times - middle).argmin())
        pooled = self.pooled and stop > first
        last = max(nearest, stop - 1) if pooled else nearest
        return Decode(
            # windows need not lie evenly about the interval's middle: what is said is said of their own
            at=float(stream.times[first:stop].mean()) if pooled else float(stream.times[nearest]),
            decided=float(stream.times[last]) + stream.window / 2,
            start=float(start),
            end=float(end),
            embedding=unit_mean(stream.embeddings[first:stop]) if pooled else stream.embeddings[nearest],
        )
