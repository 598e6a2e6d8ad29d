"""Savings at equal quality: cases with known answers, and intervals that know what is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from jepa_vl.streaming.evaluation.savings import Curve, difference, mean_of, saving

CALLS = [100.0, 50.0, 25.0, 10.0]


def curve(quality: list[float], calls: list[float], *, streams: int = 3) -> Curve:
    """Return a curve that is the same for all streams."""
    each = np.tile(np.array(calls), (streams, 1))
    return Curve(np.tile(np.array(quality), (streams, 1)), each, each)


ONE = np.ones(3)
REFERENCE = curve([1.0], [100.0])


@pytest.mark.parametrize(
    ("quality", "share", "calls"),
    [
        ([1, 1, 0.5, 0], 1.0, 50),  # a rate that was measured
        ([1, 1, 0.5, 0], 0.75, (25 * 50) ** 0.5),  # halfway between two, in the logarithm
        ([2, 1, 0.9, 0], 0.95, (25 * 50) ** 0.5),
        ([0.9, 1.1, 0.5, 0.2], 1.0, 25 * 2 ** (5 / 6)),  # more decodes need not be better
        ([1.5, 0.5, 0.2, 0.1], 1.0, (50 * 100) ** 0.5),
    ],
)
def test_the_quality_is_reached_where_it_was_put(quality: list[float], share: float, calls: float) -> None:
    found = saving(curve(quality, CALLS), REFERENCE, ONE, share=share)
    assert found.value == pytest.approx(100 / calls)
    assert [found.low, found.high] == pytest.approx([found.value] * 2)
    assert found.calls == pytest.approx(3 * calls)
    assert not found.beyond


def test_a_quality_that_is_never_reached_saves_nothing() -> None:
    found = saving(curve([0.9, 0.8, 0.7, 0.6], CALLS), REFERENCE, ONE)
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_a_quality_that_the_lowest_rate_has_is_marked() -> None:
    found = saving(curve([1, 1, 1, 1], CALLS), REFERENCE, ONE)
    assert found.value == pytest.approx(10)
    assert found.beyond


def test_rates_of_an_online_policy_need_not_be_in_order_of_decodes() -> None:
    mixed = [2, 0, 3, 1]
    quality, calls = [1, 1, 0.5, 0], CALLS
    found = saving(curve([quality[i] for i in mixed], [calls[i] for i in mixed]), REFERENCE, ONE, share=0.75)
    assert found.value == pytest.approx(saving(curve(quality, calls), REFERENCE, ONE, share=0.75).value)


def test_what_is_spent_may_be_another_thing_than_decodes() -> None:
    of = curve([1, 1, 0.5, 0], CALLS)
    dear = Curve(of.quality, of.calls, of.calls * 0.1 + 4)  # seconds: what is saved is less
    found = saving(dear, Curve(REFERENCE.quality, REFERENCE.calls, REFERENCE.calls * 0.1 + 4), ONE)
    assert found.value == pytest.approx((10 + 4) / (5 + 4))


def test_no_decode_at_all_is_no_point_of_a_line() -> None:
    found = saving(curve([1, 0], [50, 0]), REFERENCE, ONE)
    assert found.value == pytest.approx(2)


def test_the_interval_is_of_drawing_streams() -> None:
    rng = np.random.default_rng(0)
    needed = np.exp(rng.normal(3, 0.5, size=60))  # decodes that each stream needs to be all right
    calls = np.tile(np.array([80.0, 40.0, 20.0, 10.0, 5.0]), (60, 1))
    policy = Curve((calls >= needed[:, None]).astype(float), calls, calls)
    uniform = Curve(np.full((60, 1), 0.5), np.full((60, 1), 80.0), np.full((60, 1), 80.0))
    found = saving(policy, uniform, np.ones(60))
    assert found.low < found.value < found.high
    again = []
    for _ in range(400):  # the whole estimate on streams drawn anew
        drawn = rng.integers(60, size=60)
        one = Curve(policy.quality[drawn], calls, calls)
        again.append(saving(one, uniform, np.ones(60), resamples=1).value)
    low, high = np.quantile(again, [0.025, 0.975])
    assert found.low == pytest.approx(low, rel=0.08)
    assert found.high == pytest.approx(high, rel=0.08)


def test_a_difference_is_of_pairs() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 5, size=(40, 1))  # how hard a stream is, the same for both
    of = np.ones((40, 1))
    policy = Curve(hard + 0.5 + rng.normal(0, 0.1, size=(40, 1)), of, of)
    found = difference(policy, Curve(hard, of, of), np.ones(40), 0)
    assert 0.4 < found.low < found.value < found.high < 0.6


def test_streams_count_by_their_annotations() -> None:
    assert mean_of(np.array([3.0, 1.0]), np.array([3.0, 1.0])).value == 1
    assert mean_of(np.array([3.0, 0.0]), np.array([3.0, 1.0])).value == 0.75
