"""Decoding at a fixed stride as the stream goes: what `UniformPolicy` does of a whole one."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from jepa_vl.streaming.base import Decode, Follower


class Steps(Follower):
    """Decodes the window nearest to the middle of each interval of ``1 / rate`` seconds.

    Args:
        rate: Decodes a second, at most one a stride.
        window: Seconds of a window.
        stride: Seconds from one window to the next.
    """

    def __init__(self, *, rate: float, window: float, stride: float) -> None:
        self._interval, self._window, self._stride = 1 / rate, window, stride
        self._next = 0  # the interval that is decoded next

    def push(self, time: float, embedding: NDArray[np.float32]) -> Decode | None:
        """Decode where no later window is nearer to the middle of the interval."""
        # the last interval whose middle is not nearer to the next window
        step = math.floor((time + self._stride / 2) / self._interval - 0.5 + 1e-6)
        if step < self._next:
            return None
        self._next = step + 1
        start = step * self._interval
        if time >= start + self._interval:  # a gap has taken the interval
            return None
        return Decode(
            at=time,
            decided=time + self._window / 2,
            start=start,
            end=start + self._interval,
            embedding=embedding,
        )
