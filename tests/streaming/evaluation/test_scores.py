"""What is spent at each rate, by hand: decodes, seconds of decoding, and those of the whole pipeline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jepa_vl.streaming.evaluation.decided import Decided
from jepa_vl.streaming.evaluation.measures import compare
from jepa_vl.streaming.evaluation.scores import Cost, Judged, PolicyScores, Scores, Spent

RATES = [2.0, 1.0, 0.5]
WINDOW, DECODE, DECIDING = 0.01, 0.1, 0.2  # seconds
COST = Cost(WINDOW, DECODE)


def policy(label: str, quality: list[float], *, uniform: bool = False, pooled: bool = False) -> PolicyScores:
    """Two streams of 10 and 20 s, two annotations each, that score the same at each rate."""
    judged = [
        Judged(
            Decided(
                rate=rate,
                text=np.zeros(4, dtype=np.int64),
                latency=np.full(4, np.nan),
                calls=rate * np.array([10.0, 20.0]),
                about=np.zeros(2),
                seconds=np.full(2, 0.0 if uniform else DECIDING),
            ),
            texts=[""] * 4,
            cider=np.full(4, each),
            said=np.zeros(4),
        )
        for rate, each in zip(RATES, quality, strict=True)
    ]
    return PolicyScores(label, True, uniform, pooled, False, judged)


UNIFORM = policy("uniform", [3, 2, 1], uniform=True)
POOLED = policy("uniform, pooled", [3, 2, 1], uniform=True, pooled=True)
OURS = policy("ours", [3, 3, 2])


@pytest.fixture
def scores() -> Scores:
    return Scores(
        rates=RATES,
        reference_rate=1.0,
        tolerance=1.0,
        stream=np.array([0, 0, 1, 1]),
        durations=np.array([10.0, 20.0]),
        windows=np.array([19.0, 39.0]),
        policies=[UNIFORM, POOLED, OURS],
        cost=COST,
    )


def spent(scores: Scores, of: PolicyScores, kind: Spent) -> np.ndarray:
    curve = scores.curve(of, kind)
    assert curve is not None
    np.testing.assert_array_equal(curve.calls, [[20, 10, 5], [40, 20, 10]])
    np.testing.assert_allclose(curve.quality, 2 * np.array([[j.cider[0] for j in of.at]] * 2))
    return curve.spent


@pytest.mark.parametrize("of", [UNIFORM, POOLED, OURS], ids=lambda p: p.label)
def test_every_window_is_embedded_but_those_that_plain_uniform_decoding_passes_over(
    scores: Scores, of: PolicyScores
) -> None:
    for s, (windows, seconds) in enumerate([(19, 10), (39, 20)]):
        for r, rate in enumerate(RATES):
            calls = rate * seconds
            decoding = calls * DECODE + (0.0 if of.uniform else DECIDING)
            embedded = calls if of is UNIFORM else windows
            assert spent(scores, of, "calls")[s, r] == calls
            assert spent(scores, of, "decoding")[s, r] == pytest.approx(decoding)
            assert spent(scores, of, "whole")[s, r] == pytest.approx(decoding + windows * WINDOW)
            assert spent(scores, of, "sparse")[s, r] == pytest.approx(decoding + embedded * WINDOW)


def test_what_is_saved_is_less_in_time_than_in_decodes(scores: Scores) -> None:
    savings = compare(scores, OURS).savings
    assert savings["calls"].value == pytest.approx(30 / 15)
    ours = 15 * DECODE + 2 * DECIDING
    assert savings["decoding"].value == pytest.approx(30 * DECODE / ours)
    assert savings["whole"].value == pytest.approx((30 * DECODE + 58 * WINDOW) / (ours + 58 * WINDOW))
    assert savings["sparse"].value == pytest.approx((30 * DECODE + 30 * WINDOW) / (ours + 58 * WINDOW))


def test_a_pooled_policy_is_compared_with_pooled_uniform_which_embeds_everything(scores: Scores) -> None:
    compared = compare(scores, replace(OURS, pooled=True))
    assert compared.reference == "uniform, pooled"
    assert set(compared.savings) == {"calls", "decoding", "whole"}


def test_times_that_were_not_measured_are_not_compared(scores: Scores) -> None:
    assert set(compare(replace(scores, cost=Cost(None, None)), OURS).savings) == {"calls"}
    assert set(compare(replace(scores, cost=Cost(None, DECODE)), OURS).savings) == {"calls", "decoding"}
