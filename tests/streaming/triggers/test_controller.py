from __future__ import annotations

import numpy as np
import pytest

from jepa_vl.streaming.triggers.controller import FixedThreshold, RateController


def calls(controller: RateController, scores: np.ndarray) -> np.ndarray:
    """Which of the scores call for a decode, each being granted."""
    found = []
    for score in scores:
        found.append(controller.exceeded(float(score)))
        if found[-1]:
            controller.decoded()
    return np.array(found)


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("rate", [0.05, 0.2, 0.7, 1.5, 2.0])
def test_the_rate_is_held_whatever_the_unit_and_the_shape_of_the_scores(rate: float, unit: float) -> None:
    rng = np.random.default_rng(0)
    shapes = (rng.exponential(size=3000), rng.lognormal(sigma=2, size=3000), 1 + 0.01 * rng.normal(size=3000))
    for scores in shapes:
        found = calls(RateController(rate=rate, stride=0.5), unit * scores)
        assert found.mean() == pytest.approx(rate * 0.5, rel=0.05)


def test_no_stretch_has_more_than_twice_the_budget_beyond_its_share() -> None:
    rng = np.random.default_rng(1)
    scores = rng.lognormal(sigma=1, size=4000) * np.where(np.arange(4000) // 500 % 2, 100.0, 1.0)
    controller = RateController(rate=0.2, stride=0.5, budget=3.0)
    ahead = np.cumsum(calls(controller, scores) - 0.1)
    assert max(ahead[j] - ahead[:j].min() for j in range(1, 4000)) <= 2 * 3.0 + 1


def test_hours_of_a_constant_picture_neither_decode_nor_leave_a_debt() -> None:
    rng = np.random.default_rng(2)
    busy = rng.lognormal(sigma=1, mean=-2, size=2000)
    quiet = np.full(2 * 3600 * 5, 1e-7)
    controller = RateController(rate=0.2, stride=0.5)
    calls(controller, busy)
    before = controller.value
    assert not calls(controller, quiet).any()
    after = calls(controller, busy)
    # the first minute: its share of 12, what was saved, and one
    assert after[:120].sum() <= 12 + 2 * controller.budget + 1
    assert after[200:].mean() == pytest.approx(0.1, rel=0.1)
    assert np.log(controller.value) == pytest.approx(np.log(before), abs=1.5)


def test_high_scores_are_those_that_are_decoded() -> None:
    rng = np.random.default_rng(3)
    scores = np.where(rng.uniform(size=4000) < 0.08, 0.5, 0.05) * rng.lognormal(sigma=0.2, size=4000)
    found = calls(RateController(rate=0.2, stride=0.5), scores)
    assert scores[found].mean() > 0.35
    assert found[scores > 0.3].mean() > 0.8


def test_a_rate_of_every_window_decodes_every_window() -> None:
    assert calls(RateController(rate=2.0, stride=0.5), np.zeros(50)).all()


def test_a_fixed_threshold_is_what_it_is() -> None:
    threshold = FixedThreshold(0.3)
    assert [threshold.exceeded(s) for s in (0.1, 0.3, 0.31)] == [False, False, True]
    assert threshold.value == 0.3
