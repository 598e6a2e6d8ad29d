"""Drift from what was decoded last."""

from __future__ import annotations

from jepa_vl.streaming.triggers.base import Smoothed, Trigger, Vector, distance


class DriftTrigger(Trigger):
    """Scores how far the smoothed stream has moved from the embedding that was decoded last.

    The score is a cosine distance, from 0 to 2. Before the first decode it is that from the first window.
    It says when the last text has ceased to hold, the return to nothing included.

    Args:
        smoothing: Weight of the newest embedding in the running mean; 1 does not smooth.

    Raises:
        RecipeError: The smoothing is out of its range.
    """

    def __init__(self, *, smoothing: float = 0.5) -> None:
        self.smoothing = smoothing
        self.reset()

    def reset(self) -> None:
        """Forget what was decoded."""
        self._smoothed = Smoothed(self.smoothing)
        self._reference: Vector | None = None

    def step(self, embedding: Vector) -> float:
        """Return the distance from what was decoded last."""
        if self._reference is None:
            self._reference = embedding.copy()
        return distance(self._smoothed.step(embedding), self._reference)

    def decoded(self, embedding: Vector) -> None:
        """Measure from ``embedding`` from now on."""
        self._reference = embedding.copy()
