"""How much training a quality takes: where a curve first comes to it, and the ratio of two such places."""

from __future__ import annotations

import numpy as np

from jepa_vl.compare.statistics.resampling import LEVEL, Floats


def first_reached(x: Floats, curves: Floats, quality: Floats, *, at_once: float | None = None) -> Floats:
    """Return where each of R curves first comes to its quality, ``[R]``; infinite where it never does.

    Between two budgets a curve is a straight line over the logarithm of x.

    Args:
        x: ``[P]`` samples, seconds or operations at the budgets, ascending.
        curves: ``[R, P]``, more is better.
        quality: ``[R]``.
        at_once: What a curve needs that is there at its first budget; that budget's x, the most that it can
            need, by default.
    """
    there = curves >= quality[:, None]
    first = there.argmax(axis=1)
    rows = np.arange(len(curves))
    before = np.maximum(first - 1, 0)
    low, high = curves[rows, before], curves[rows, first]
    rise = np.where(high > low, high - low, 1.0)
    part = np.where(first > 0, (quality - low) / rise, 1.0)
    at = np.log(x)
    place = np.exp(at[before] + part * (at[first] - at[before]))
    place = np.where(there[:, 0], x[0] if at_once is None else at_once, place)
    return np.where(there.any(axis=1), place, np.inf)


def ratio(reference: Floats, arm: Floats) -> Floats:
    """Return how many times less the arm needs; infinite where only it comes there, 0 where only the other.

    One of the two comes there: the quality is what it has at its full budget.
    """
    return reference / arm


def span(reference: tuple[Floats, Floats, Floats], arm: tuple[Floats, Floats, Floats]) -> tuple[float, float]:
    """Return the 95 % interval of the ratio of needs; its ends may be 0 or infinite.

    A curve that is there at its first budget may need anything less. So the lower end is of references that
    need next to nothing then, and the upper end of arms that do.

    Args:
        reference: x ``[P]``, curves ``[R, P]`` and qualities ``[R]``; see `first_reached`.
        arm: The same draws of the arm.
    """
    # outward to a draw: there is nothing between a number and infinity
    with np.errstate(divide="ignore"):
        least = np.sort(ratio(first_reached(*reference, at_once=0.0), first_reached(*arm)))
        most = np.sort(ratio(first_reached(*reference), first_reached(*arm, at_once=0.0)))
    low = int(np.floor((1 - LEVEL) / 2 * (len(least) - 1)))
    high = int(np.ceil((1 + LEVEL) / 2 * (len(most) - 1)))
    return float(least[low]), float(most[high])
