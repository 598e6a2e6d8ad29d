"""Novelty: unlike the last while, and unlike what was said last."""

from __future__ import annotations

import math

import numpy as np

from jepa_vl.errors import RecipeError
from jepa_vl.streaming.triggers.base import Smoothed, Trigger, Vector, distance


class NoveltyTrigger(Trigger):
    """Scores what is neither usual nor said already.

    The score is a geometric mean of two cosine distances of the smoothed stream: from the running mean of
    the last windows, which is what the stream mostly shows and counts twice, and from the embedding that was
    decoded last.
    A drift detector also fires when an event is over and the usual returns, and spends half of its decodes
    on nothing; here the first distance is then small. The second keeps a lasting event from being said twice.

    Args:
        background: Windows over which the usual is averaged.
        smoothing: Weight of the newest embedding in the running mean; 1 does not smooth.

    Raises:
        RecipeError: A number is out of its range.
    """

    def __init__(self, *, background: int = 20, smoothing: float = 0.7) -> None:
        if background < 1:
            raise RecipeError(f"background is a number of windows, 1 or more, got {background}")
        self.background = background
        self.smoothing = smoothing
        self.reset()

    def reset(self) -> None:
        """Forget the usual and what was decoded."""
        self._smoothed = Smoothed(self.smoothing)
        self._usual: Vector | None = None
        self._reference: Vector | None = None
        self._seen = 0

    def step(self, embedding: Vector) -> float:
        """Return how new the window is."""
        now = self._smoothed.step(embedding)
        if self._usual is None or self._reference is None:
            self._usual, self._reference = embedding.copy(), embedding.copy()
        score = math.cbrt(distance(now, self._usual) ** 2 * distance(now, self._reference))
        # a plain mean until there are as many windows as it is over
        self._seen = min(self._seen + 1, self.background)
        self._usual += np.float32(1 / self._seen) * (embedding - self._usual)
        return score

    def decoded(self, embedding: Vector) -> None:
        """Take ``embedding`` for what was said last."""
        self._reference = embedding.copy()
