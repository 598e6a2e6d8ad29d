"""Sample efficiency: how many times fewer samples, seconds or operations an arm needs for equal quality."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from jepa_vl.compare.plan import Metric
from jepa_vl.compare.statistics.crossing import first_reached, ratio, span
from jepa_vl.compare.statistics.resampling import Floats, Resampled, Scores, resample, stretch
from jepa_vl.compare.statistics.summary import Axis, Efficiency, QualityOf


def efficiencies(
    arm: str,
    metric: Metric,
    *,
    ours: Sequence[Scores | None],
    reference: Sequence[Scores | None],
    cost: Mapping[Axis, tuple[Sequence[float], Sequence[float]]],
    higher_is_better: bool,
) -> list[Efficiency]:
    """Compare where the mean curves of an arm and the reference come to a quality.

    The quality is what the reference reaches at its full budget, and then what the arm reaches at its own;
    each draw of seeds and episodes makes both curves and the quality anew. The seeds are those that both
    have at all budgets.

    Args:
        arm: Name of the arm.
        metric: The metric.
        ours: The arm's scores at each budget.
        reference: The reference's.
        cost: Samples, seconds or operations → of the arm and of the reference at each budget.
        higher_is_better: Whether more of the metric is better.

    Returns:
        Nothing where there are no two budgets, or no seed that has them all.
    """
    places = [i for i, pair in enumerate(zip(ours, reference, strict=True)) if None not in pair]
    if len(places) < 2 or places[-1] != len(ours) - 1:
        return []
    curves = [[one[i] for i in places] for one in (ours, reference)]
    own, other = ([score for score in curve if score is not None] for curve in curves)
    seeds = [score.seeds for score in (*own, *other)]
    common = tuple(seed for seed in seeds[0] if all(seed in each for each in seeds))
    if not common:
        return []
    drawn = [[resample(score.of(common)) for score in curve] for curve in (own, other)]
    sign = 1.0 if higher_is_better else -1.0
    found = []
    for axis, (of_arm, of_reference) in cost.items():
        x = [np.array([each[i] for i in places]) for each in (of_arm, of_reference)]
        if any((each <= 0).any() or (np.diff(each) <= 0).any() for each in x):
            continue  # not counted
        for quality_of in ("reference", "arm"):
            found.append(_compared(arm, metric.name, axis, quality_of, drawn, x, sign, len(common)))
    return found


def _compared(
    arm: str,
    metric: str,
    axis: Axis,
    quality_of: QualityOf,
    drawn: Sequence[Sequence[Resampled]],
    x: Sequence[Floats],
    sign: float,
    seeds: int,
) -> Efficiency:
    own, other = drawn
    wanted = own if quality_of == "arm" else other
    estimates = [sign * np.array([[at.estimate for at in curve]]) for curve in (own, other)]  # [1, P]
    draws = [sign * np.stack([stretch(at) for at in curve], axis=1) for curve in (own, other)]  # [R, P]
    target = sign * np.array([wanted[-1].estimate])
    needs = [first_reached(at, curve, target) for at, curve in zip(x, estimates, strict=True)]
    of_draws = sign * stretch(wanted[-1])
    over = own[-1].over
    low, high = None, None
    if over != "nothing":
        low, high = span((x[1], draws[1], of_draws), (x[0], draws[0], of_draws))
    names: tuple[QualityOf, QualityOf] = ("arm", "reference")
    return Efficiency(
        arm=arm,
        metric=metric,
        quality_of=quality_of,
        quality=wanted[-1].estimate,
        axis=axis,
        arm_needs=_finite(float(needs[0][0])),
        reference_needs=_finite(float(needs[1][0])),
        first_budget=[name for name, curve in zip(names, estimates, strict=True) if curve[0, 0] >= target[0]],
        ratio=float(ratio(needs[1], needs[0])[0]),
        low=low,
        high=high,
        over=over,
        seeds=seeds,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
