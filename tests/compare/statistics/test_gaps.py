"""Gaps and their changes along a series, with planted numbers and against a slow version."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jepa_vl.compare.plan import Arm, Comparison
from jepa_vl.compare.statistics.gaps import gap, trends, verdict
from jepa_vl.compare.statistics.resampling import Scores

SEEDS, EPISODES = (1, 2, 3, 4, 5), 200
ARMS = ("jepa-1", "token-1", "jepa-9", "token-9")


def plan(**changes: object) -> Comparison:
    against = {"jepa-9": "token-9"}
    arms = tuple(Arm(name, {}, (), against=against.get(name, "")) for name in ARMS)
    made = Comparison(
        name="c", arms=arms, reference="token-1", varies=(), seeds=SEEDS, budgets=(0.1, 1.0), metrics=(),
        tuning=None, file="c.yaml", series={"wordings": ("jepa-1", "jepa-9")},
    )  # fmt: skip
    return replace(made, **changes)


def scores(mean: float, *, seed: int = 0, seeds: tuple[int, ...] = SEEDS) -> Scores:
    """Of episodes that are as hard for one arm as for any other, and of luck of each run."""
    hard = np.random.default_rng(7).normal(scale=0.2, size=EPISODES)
    luck = np.random.default_rng(seed).normal(scale=0.01, size=(len(seeds), EPISODES))
    sums = mean + hard + luck
    return Scores(seeds, sums.mean(axis=1), sums, np.ones(EPISODES))


PLANTED = {"jepa-1": 0.50, "token-1": 0.45, "jepa-9": 0.48, "token-9": 0.31}
SCORED = {name: scores(mean, seed=i) for i, (name, mean) in enumerate(PLANTED.items())}


def test_each_arm_is_compared_with_the_arm_that_it_names_else_with_the_reference() -> None:
    found = [plan().against(name) for name in ARMS]
    assert found == ["token-1", "", "token-9", "token-1"]


def test_a_gap_that_grows_is_found_with_an_interval_around_what_was_planted() -> None:
    first, second = trends(plan(), "VQA", SCORED, higher_is_better=True)
    assert (first.arm, first.change) == ("jepa-1", None)
    assert first.gap.value == pytest.approx(0.05, abs=0.005)
    assert second.gap.value == pytest.approx(0.17, abs=0.005)
    moved = second.change
    assert moved is not None
    assert moved.value == pytest.approx(second.gap.value - first.gap.value)
    assert (moved.low or 0) < 0.12 < (moved.high or 0)
    assert (moved.over, moved.verdict) == ("seeds and episodes", "better")


def test_a_change_is_that_of_each_seed_alone() -> None:
    moved = trends(plan(), "VQA", SCORED, higher_is_better=True)[1].change
    assert moved is not None
    value = {name: dict(zip(each.seeds, each.values, strict=True)) for name, each in SCORED.items()}
    for seed, found in moved.values.items():
        slow = value["jepa-9"][seed] - value["token-9"][seed] - value["jepa-1"][seed] + value["token-1"][seed]
        assert found == pytest.approx(slow)


def test_the_episodes_of_a_change_are_paired() -> None:
    """Hard episodes are hard for all four: unpaired, the interval would be that of their spread, .11."""
    moved = trends(plan(), "VQA", SCORED, higher_is_better=True)[1].change
    assert moved is not None
    assert (moved.high or 0) - (moved.low or 0) < 0.03


def test_where_less_is_better_a_gap_that_falls_moves_in_favour() -> None:
    moved = trends(plan(), "rank", SCORED, higher_is_better=False)[1].change
    assert moved is not None
    assert moved.verdict == "worse"


def test_only_seeds_that_all_four_runs_have_are_in_a_change() -> None:
    few = SCORED | {"token-9": SCORED["token-9"].of((2, 4, 5))}
    first, second = trends(plan(), "VQA", few, higher_is_better=True)
    assert set(first.gap.values) == set(SEEDS)
    assert second.change is not None
    assert set(second.change.values) == {2, 4, 5}


def test_a_step_without_runs_is_left_out_and_one_without_the_first_has_no_change() -> None:
    without = {name: each for name, each in SCORED.items() if name != "token-9"}
    assert [each.arm for each in trends(plan(), "VQA", without, higher_is_better=True)] == ["jepa-1"]
    without = {name: each for name, each in SCORED.items() if name != "jepa-1"}
    (only,) = trends(plan(), "VQA", without, higher_is_better=True)
    assert (only.arm, only.change) == ("jepa-9", None)


def test_arms_without_a_common_seed_have_no_gap() -> None:
    ours, other = scores(0.5, seeds=(1, 2)), scores(0.5, seeds=(3, 4))
    assert gap("jepa-1", "VQA", 1.0, ours, other, True) is None


def test_a_verdict_needs_an_interval_on_one_side_of_zero() -> None:
    assert verdict(None, None, higher_is_better=True) == "cannot be told"
    assert verdict(-0.1, 0.1, higher_is_better=True) == "cannot be told"
    assert verdict(0.1, 0.2, higher_is_better=True) == "better"
    assert verdict(0.1, 0.2, higher_is_better=False) == "worse"
