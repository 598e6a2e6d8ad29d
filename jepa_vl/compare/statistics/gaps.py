"""Gaps: an arm minus the arm that it is compared with, and how that changes along a series of arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jepa_vl.compare.plan import Comparison
from jepa_vl.compare.statistics.resampling import Resampled, Scores, interval, resample
from jepa_vl.compare.statistics.summary import Estimate, Trend, Verdict

#: What an arm scored, and what the arm scored that it is compared with.
Pair = tuple[Scores, Scores]


def estimate(arm: str, metric: str, budget: float, of: Resampled, values: dict[int, float]) -> Estimate:
    """Return a number with its interval.

    Args:
        arm: Name of the arm.
        metric: Name of the metric.
        budget: Fraction of the steps.
        of: The number and its draws.
        values: Seed → the number of this seed alone.
    """
    low, high = interval(of) or (None, None)
    return Estimate(
        arm=arm,
        metric=metric,
        budget=budget,
        value=of.estimate,
        low=low,
        high=high,
        over=of.over,
        values=values,
        n_episodes=of.episodes if of.episodes > 1 else 0,
    )


def gap(
    arm: str, metric: str, budget: float, ours: Scores, against: Scores, higher_is_better: bool
) -> Estimate | None:
    """Subtract seed by seed and episode by episode; None where the two share no seed."""
    return _signed(arm, metric, budget, [(ours, against)], higher_is_better)


def trends(
    plan: Comparison, metric: str, scores: Mapping[str, Scores], higher_is_better: bool
) -> list[Trend]:
    """Return the steps of each series, with the change of each gap against that of the first step.

    A change is a difference of differences, paired like these: of the seeds that all four runs have.

    Args:
        plan: Whose series.
        metric: Name of the metric.
        scores: Arm → what it scored at the full budget.
        higher_is_better: Whether more of the metric is better.
    """
    full = plan.budgets[-1]
    found = []
    for series, arms in plan.series.items():
        pairs = {
            arm: (scores[arm], scores[plan.against(arm)])
            for arm in arms
            if arm in scores and plan.against(arm) in scores
        }
        for arm, pair in pairs.items():
            own = gap(arm, metric, full, *pair, higher_is_better)
            if own is None:
                continue
            change = None
            if arm != arms[0] and arms[0] in pairs:
                change = _signed(arm, metric, full, [pair, pairs[arms[0]]], higher_is_better)
            found.append(Trend(series=series, metric=metric, arm=arm, gap=own, change=change))
    return found


def verdict(low: float | None, high: float | None, *, higher_is_better: bool) -> Verdict:
    """Say what the interval of a difference allows to be said."""
    if low is None or high is None or low <= 0 <= high:
        return "cannot be told"
    return "better" if (low > 0) == higher_is_better else "worse"


def _signed(
    arm: str, metric: str, budget: float, pairs: Sequence[Pair], higher_is_better: bool
) -> Estimate | None:
    """Return the first pair's difference, or that minus the second pair's."""
    seeds = [each.seeds for pair in pairs for each in pair]
    common = tuple(seed for seed in seeds[0] if all(seed in others for others in seeds))
    if not common:
        return None
    draws, values = [], []
    for pair in pairs:
        ours, against = (each.of(common) for each in pair)
        draws.append(resample(ours) - resample(against))
        values.append(ours.values - against.values)
    of = draws[0] if len(draws) == 1 else draws[0] - draws[1]
    of_seeds = values[0] if len(values) == 1 else values[0] - values[1]
    found = estimate(arm, metric, budget, of, dict(zip(common, of_seeds.tolist(), strict=True)))
    found.verdict = verdict(found.low, found.high, higher_is_better=higher_is_better)
    return found
