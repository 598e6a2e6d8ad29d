"""How much training a quality takes: where a curve first comes to it, and the ratio of two such places."""

from __future__ import annotations

import numpy as np

from jepa_vl.compare.resampling import LEVEL, Floats


def first_reached(x: Floats, curves: Floats, quality: Floats) -> Floats:
    """Return where each of R curves first comes to its quality, ``[R]``; infinite where it never does.

    Between two budgets a curve is a straight line over the logarithm of x. One that is there at its first
    budget has that one's x, which is the most that it can need.

    Args:
        x: ``[P]`` samples, seconds or operations at the budgets, ascending.
        curves: ``[R, P]``, more is better.
        quality: ``[R]``.
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
    return np.where(there.any(axis=1), place, np.inf)


def ratio(reference: Floats, arm: Floats) -> Floats:
    """Return how many times less the arm needs; infinite where only it comes there, 0 where only the other.

    One of the two comes there: the quality is what it has at its full budget.
    """
    return reference / arm


def span(ratios: Floats) -> tuple[float, float]:
    """Return the 95 % interval of ratios, of which some may be 0 or infinite, but none is NaN."""
    known = np.sort(ratios)
    # outward to a draw: there is nothing between a number and infinity
    low = int(np.floor((1 - LEVEL) / 2 * (len(known) - 1)))
    high = int(np.ceil((1 + LEVEL) / 2 * (len(known) - 1)))
    return float(known[low]), float(known[high])
