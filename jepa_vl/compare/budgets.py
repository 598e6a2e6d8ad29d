"""From parts of a run to optimizer steps."""

from __future__ import annotations

from collections.abc import Iterable


def step_of(fraction: float, max_steps: int) -> int:
    """Return after how many of ``max_steps`` optimizer steps a part of the budget is used up; at least 1."""
    return max(1, round(fraction * max_steps))


def distinct(fractions: Iterable[float], max_steps: Iterable[int]) -> tuple[float, ...]:
    """Return budgets, ascending and ending with 1, without those that some arm cannot tell apart.

    Args:
        fractions: From 0, not included, to 1.
        max_steps: Of each arm.
    """
    fewest = min(max_steps)
    by_step = {step_of(fraction, fewest): fraction for fraction in sorted({*fractions, 1.0})}
    return tuple(by_step.values())
