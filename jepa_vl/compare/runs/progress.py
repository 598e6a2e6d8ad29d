"""Which run of how many, and about how long the rest takes."""

from __future__ import annotations

import math
from collections import defaultdict


class Progress:
    """Learns from the runs that are done how long the others will take.

    Args:
        arms: The arm of each run that is to be done, in order.
    """

    def __init__(self, arms: list[str]) -> None:
        self.arms = arms
        self._taken: dict[str, list[float]] = defaultdict(list)

    def line(self, number: int, label: str) -> str:
        """Say which run begins; ``number`` counts from 0."""
        left = self.left(number)
        about = "" if left is None else f" · about {_minutes(left)} left"
        return f"run {number + 1} of {len(self.arms)} · {label}{about}"

    def done(self, arm: str, seconds: float) -> None:
        """Note what a run took."""
        self._taken[arm].append(seconds)

    def left(self, number: int) -> float | None:
        """Return the seconds that run ``number`` and all after it take; None before one is done.

        An arm that was not run yet is taken to be as slow as the slowest one.
        """
        if not self._taken:
            return None
        means = {arm: sum(taken) / len(taken) for arm, taken in self._taken.items()}
        slowest = max(means.values())
        return sum(means.get(arm, slowest) for arm in self.arms[number:])


def _minutes(seconds: float) -> str:
    minutes = max(1, math.ceil(seconds / 60))
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
