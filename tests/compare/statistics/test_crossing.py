"""Where curves come to a quality, against a walk along the curve."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jepa_vl.compare.statistics.crossing import first_reached, ratio, span

X = np.array([10.0, 100.0, 1000.0, 10000.0])


def walk(curve: np.ndarray, quality: float) -> float:
    """Go along the curve in small steps."""
    if curve[0] >= quality:
        return float(X[0])
    for place in np.linspace(1, 4, 30_001):
        if np.interp(place, np.log10(X), curve) >= quality - 1e-12:
            return float(10**place)
    return math.inf


def test_the_place_is_where_a_walk_along_the_curve_first_meets_the_quality() -> None:
    rng = np.random.default_rng(0)
    curves = rng.normal(size=(60, 4)).cumsum(axis=1)  # some fall
    quality = rng.normal(size=60)
    found = first_reached(X, curves, quality)
    slow = [walk(curve, q) for curve, q in zip(curves, quality, strict=True)]
    assert np.isinf(slow).sum() > 5
    assert found == pytest.approx(np.array(slow), rel=1e-3)


def test_a_straight_line_is_read_off_over_the_logarithm() -> None:
    found = first_reached(X, np.array([[0.0, 1.0, 2.0, 3.0]]), np.array([1.5]))
    assert found[0] == pytest.approx(10**2.5)


def test_curves_that_are_the_same_need_the_same() -> None:
    curve = np.array([[0.0, 0.2, 0.5, 0.6]])
    needs = first_reached(X, curve, np.array([0.6]))
    assert ratio(needs, needs) == pytest.approx(1.0)


def test_a_curve_moved_by_a_factor_of_samples_gives_that_factor() -> None:
    """Of curves that are straight over the logarithm: the arm is where the reference is 5 times later."""
    reference = np.log(X)[None]
    arm = np.log(5 * X)[None]
    quality = np.array([8.0])
    found = ratio(first_reached(X, reference, quality), first_reached(X, arm, quality))
    assert found == pytest.approx(5.0)


def test_who_does_not_come_there_is_zero_or_infinite() -> None:
    one, never = np.array([3.0]), np.array([np.inf])
    assert ratio(never, one)[0] == math.inf
    assert ratio(one, never)[0] == 0


def test_the_interval_ends_at_infinity_where_the_reference_may_not_come_there() -> None:
    """The arm comes there at 100 in all draws, the reference at 1000 or, in one of ten, not at all."""
    quality = np.ones(1000)
    arm = np.tile([0.0, 1.0, 1.0, 1.0], (1000, 1))
    reference = np.tile([0.0, 0.0, 1.0, 1.0], (1000, 1))
    reference[:100] = 0
    assert span((X, reference, quality), (X, arm, quality)) == pytest.approx((10.0, math.inf))


def test_who_is_there_at_the_first_budget_may_need_any_number_less() -> None:
    quality = np.ones(1000)
    early, late = np.tile([1.0, 1.0, 1.0, 1.0], (1000, 1)), np.tile([0.0, 0.0, 1.0, 1.0], (1000, 1))
    assert first_reached(X, early, quality)[0] == X[0]
    assert span((X, late, quality), (X, early, quality)) == pytest.approx((100.0, math.inf))
    assert span((X, early, quality), (X, late, quality)) == pytest.approx((0.0, 0.01))
    assert span((X, early, quality), (X, early, quality)) == (0.0, math.inf)
