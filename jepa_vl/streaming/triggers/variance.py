"""Variance within a short window of the smoothed stream: the trigger that the paper describes (section 2)."""

from __future__ import annotations

from collections import deque

import numpy as np

from jepa_vl.errors import RecipeError
from jepa_vl.streaming.triggers.base import Smoothed, Trigger, Vector


class VarianceTrigger(Trigger):
    """Scores how much the smoothed embeddings of the last few windows differ from one another.

    The score is their mean squared distance to their mean: 0 where nothing moves. It is large when the
    meaning comes and when it goes alike.

    Args:
        windows: How many embeddings it looks at.
        smoothing: Weight of the newest embedding in the running mean; 1 does not smooth.

    Raises:
        RecipeError: A number is out of its range.
    """

    def __init__(self, *, windows: int = 4, smoothing: float = 0.5) -> None:
        if windows < 2:
            raise RecipeError(f"the variance of {windows} window is always 0; windows must be 2 or more")
        self.windows = windows
        self.smoothing = smoothing
        self.reset()

    def reset(self) -> None:
        """Forget the last windows."""
        self._smoothed = Smoothed(self.smoothing)
        self._last: deque[Vector] = deque(maxlen=self.windows)

    def step(self, embedding: Vector) -> float:
        """Return the variance of the last smoothed embeddings, this one among them."""
        self._last.append(self._smoothed.step(embedding).copy())
        rows = np.stack(self._last)  # [k, E]
        return float(np.square(rows - rows.mean(axis=0)).sum(axis=1).mean())
