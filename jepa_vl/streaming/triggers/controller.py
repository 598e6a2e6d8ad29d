"""When a score is high enough: a fixed threshold, or one that adapts itself to hold a rate of decodes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod


class Threshold(ABC):
    """Says of each score in turn whether it calls for a decode."""

    #: What the last score was compared with.
    value: float

    @abstractmethod
    def exceeded(self, score: float) -> bool:
        """Take the next window's score."""

    def decoded(self) -> None:
        """Take note of a decode, whoever asked for it."""
        return


class FixedThreshold(Threshold):
    """Calls for a decode wherever the score is above ``value``."""

    def __init__(self, value: float) -> None:
        self.value = value

    def exceeded(self, score: float) -> bool:
        """Return whether the score is above the threshold."""
        return score > self.value


class RateController(Threshold):
    """Holds an average rate of decodes, whatever the unit of the scores.

    With p the share of windows that is to be decoded, the threshold is ``exp(level + gain · debt)``:

    - ``level`` follows the (1 - p) quantile of the log scores by stochastic approximation (Robbins and
      Monro, 1951): it goes up by ``step · (1 - p)`` where a score lies above it, and down by ``step · p``
      where none does;
    - ``debt`` is how many decodes were made more than p a window; it mends what the quantile gets wrong.

    The debt stays within ``±budget``. So no stretch holds more than ``2 · budget`` decodes beyond its
    share, and a quiet hour is not made up for later; what is then given up lowers the level instead. Scores
    of (nearly) nothing, those of a constant picture, call for no decode however few there were: the rate is
    then not reached, as it should not be. When the scene comes back, the level leaps to within a factor
    of exp(6) of the score. p = 1 decodes every window.

    Args:
        rate: Decodes a second.
        stride: Seconds from one window to the next.
        gain: How much a decode too many raises the log threshold. More holds the rate tighter and spreads
            decodes more evenly; less lets busy stretches have more of them.
        step: Of the level.
        budget: Decodes that may be run up or saved.
    """

    FLOOR = 1e-5  # a cosine distance that rounding may make

    def __init__(
        self, *, rate: float, stride: float, gain: float = 0.4, step: float = 0.1, budget: float = 4.0
    ) -> None:
        self.share = min(1.0, rate * stride)
        self.gain = gain
        self.step = step
        self.budget = budget
        # the level begins at the highest of so many scores; the fewer, the more often is decoded
        self._unknown = min(8, max(2, round(1 / self.share)))
        self.level = math.log(self.FLOOR)
        self.debt = 0.0
        self.value = math.inf

    def exceeded(self, score: float) -> bool:
        """Take a score; whether it is above the threshold of the windows before it, and there is budget."""
        log_score = math.log(max(score, self.FLOOR))
        self.debt -= self.share
        given_up = max(0.0, -self.budget - self.debt)
        self.debt += given_up
        if self.share == 1.0:
            self.value = 0.0
            return True
        if self._unknown:
            self._unknown -= 1
            self.level = max(self.level, log_score)
            return False
        self.value = math.exp(self.level + self.gain * self.debt)
        above = log_score > self.level
        moved = self.level + self.step * (above - self.share) - self.gain * given_up
        self.level = max(moved, log_score - 6.0, math.log(self.FLOOR))
        return score > max(self.value, self.FLOOR) and self.debt < self.budget

    def decoded(self) -> None:
        """Count a decode."""
        # one that somebody else asked for may come when the budget is spent
        self.debt = min(self.debt + 1.0, self.budget + 1.0)
