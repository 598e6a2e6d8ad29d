"""Page's cumulative sum over the distance from the running segment: a change-point detector."""

from __future__ import annotations

import numpy as np

from jepa_vl.errors import RecipeError
from jepa_vl.streaming.triggers.base import Trigger, Vector, distance


class ChangePointTrigger(Trigger):
    """Sums up, window after window, how much further than usual the stream is from its running segment.

    Page's test (E. S. Page, Continuous inspection schemes, Biometrika 41, 1954) on ``d``, the cosine
    distance from the mean embedding since the last decode: ``S = max(0, fading · S + d - (1 + slack) · m)``
    with ``m`` the running mean of d, so that a change has to last, or be large, and none adds up to nothing.
    Means and sum fade (as in Gama et al., On evaluating stream learning algorithms, 2013), so that a
    segment that is never decoded does not blunt the test. The score is ``S + d``: the distance itself
    orders windows between changes.

    Args:
        memory: Windows over which the segment's mean is taken, at most; twice as many for the usual distance.
        slack: Share of the usual distance above it that is no change yet.
        fading: What is left of the sum a window later, from 0 to 1.

    Raises:
        RecipeError: A number is out of its range.
    """

    def __init__(self, *, memory: int = 20, slack: float = 0.5, fading: float = 0.8) -> None:
        if not (memory >= 1 and slack >= 0 and 0 <= fading <= 1):
            raise RecipeError(
                f"expected memory of 1 or more, slack of 0 or more and fading from 0 to 1, "
                f"got {memory}, {slack:g}, {fading:g}"
            )
        self.memory = memory
        self.slack = slack
        self.fading = fading
        self.reset()

    def reset(self) -> None:
        """Forget the segment and the usual distance."""
        self._usual = 0.0
        self._seen = 0
        self._begin(None)

    def _begin(self, mean: Vector | None) -> None:
        self._mean = mean
        self._length = 0 if mean is None else 1
        self._sum = 0.0

    def step(self, embedding: Vector) -> float:
        """Return the faded sum, and the distance of this window."""
        if self._mean is None:
            self._begin(embedding.copy())
            return 0.0
        d = distance(embedding, self._mean)
        self._sum = max(0.0, self.fading * self._sum + d - (1 + self.slack) * self._usual)
        self._seen = min(self._seen + 1, 2 * self.memory)
        self._usual += (d - self._usual) / self._seen
        self._length = min(self._length + 1, self.memory)
        self._mean += np.float32(1 / self._length) * (embedding - self._mean)
        return self._sum + d

    def decoded(self, embedding: Vector) -> None:
        """Begin a segment with ``embedding``."""
        self._begin(embedding.copy())
