"""The numbers of a comparison: from files with planted differences, and by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from jepa_vl.compare.statistics.gaps import verdict
from jepa_vl.compare.statistics.gather import DECODED, gather
from jepa_vl.compare.statistics.summarise import summarise
from jepa_vl.compare.statistics.summary import Summary
from jepa_vl.results import Outcomes, Results

MakeUp = Callable[..., Any]


@pytest.fixture
def summary(made_up: MakeUp) -> Summary:
    made = made_up()
    return summarise(gather(made.comparison(), made.write()))


def test_means_are_those_of_the_files(made_up: MakeUp) -> None:
    made = made_up()
    folder = made.write()
    found = summarise(gather(made.comparison(), folder)).mean("jepa", "VQA, accuracy", 0.1)
    assert found is not None
    stored = {
        seed: Results.load(folder / f"jepa/seed-{seed}/budgets/000100/results.json")
        .find("test", "vqa", "accuracy")
        .value
        for seed in made.seeds
    }
    assert found.values == stored
    assert found.value == pytest.approx(np.mean(list(stored.values())))
    assert found.low is not None
    assert found.low < found.value < (found.high or 0)


def test_no_interval_of_a_mean_leaves_what_can_be(summary: Summary) -> None:
    """With the few hits of the first budget a widened interval would go below none at all."""
    shares = [e for e in summary.means if "CIDEr" not in e.metric]
    assert all(0 <= (e.low or 0) <= e.value <= (e.high or 0) <= 1 for e in shares)


def test_planted_winners_are_found_and_so_is_the_reference_where_it_wins(summary: Summary) -> None:
    verdicts = {d.metric: d.verdict for d in summary.differences if d.budget == 1}
    assert verdicts["retrieval, text-to-video R@1"] == "better"
    assert verdicts["VQA, accuracy"] == "worse"
    assert verdicts[DECODED] == "cannot be told"
    early = summary.difference("jepa", "VQA, accuracy", 0.1)
    assert early is not None
    assert early.verdict == "better"


def test_a_difference_is_of_the_seeds_that_both_have(summary: Summary) -> None:
    full = summary.difference("jepa", "VQA, accuracy")
    assert full is not None
    assert sorted(full.values) == [1, 2, 3, 5]  # 4 diverged
    ours, other = summary.mean("jepa", "VQA, accuracy"), summary.mean("token", "VQA, accuracy")
    assert ours is not None
    assert other is not None
    assert full.values[2] == pytest.approx(ours.values[2] - other.values[2])
    assert sorted(ours.values) == [1, 2, 3, 4, 5]


def test_the_pairing_makes_the_interval_narrower_than_that_of_two_means(summary: Summary) -> None:
    """Hard episodes are hard for both: they are in each mean, and not in the difference."""
    name = "retrieval, text-to-video R@1"
    paired = summary.difference("jepa", name)
    both = [summary.mean(arm, name) for arm in ("jepa", "token")]
    assert paired is not None
    widths = [(e.high or 0) - (e.low or 0) for e in both if e is not None]
    assert (paired.high or 0) - (paired.low or 0) < np.hypot(*widths)


def test_without_outcomes_the_interval_is_of_seeds(made_up: MakeUp) -> None:
    made = made_up()
    folder = made.write()
    for path in folder.glob("token/seed-1/budgets/*/outcomes.json"):
        path.unlink()
    found = summarise(gather(made.comparison(), folder)).difference("jepa", "VQA, accuracy")
    assert found is not None
    assert (found.over, found.n_episodes) == ("seeds", 0)


def test_other_samples_are_no_pairs(made_up: MakeUp) -> None:
    made = made_up()
    folder = made.write()
    path = folder / "jepa/seed-1/budgets/001000/outcomes.json"
    outcomes = Outcomes.load(path)
    each = outcomes.sets["test"].tasks["vqa"]["accuracy"]
    outcomes.sets["test"].tasks["vqa"]["accuracy"] = {f"other/{k}": v for k, v in each.items()}
    outcomes.save(path)
    found = summarise(gather(made.comparison(), folder)).difference("jepa", "VQA, accuracy")
    assert found is not None
    assert found.over == "seeds"


def test_with_two_seeds_the_interval_is_of_episodes_and_says_so(made_up: MakeUp) -> None:
    made = made_up(seeds=(1, 2), diverged=())
    found = summarise(gather(made.comparison(), made.write())).difference("jepa", "VQA, accuracy")
    assert found is not None
    assert (found.over, found.n_episodes, len(found.values)) == ("episodes", 60, 2)


@pytest.mark.parametrize(
    ("low", "high", "higher", "expected"),
    [
        (0.1, 0.2, True, "better"),
        (-0.2, -0.1, True, "worse"),
        (-0.1, 0.2, True, "cannot be told"),
        (0.0, 0.2, True, "cannot be told"),
        (0.1, 0.2, False, "worse"),
        (-0.2, -0.1, False, "better"),
        (None, None, True, "cannot be told"),
    ],
)
def test_nothing_is_said_where_the_interval_holds_zero(
    low: float | None, high: float | None, higher: bool, expected: str
) -> None:
    assert verdict(low, high, higher_is_better=higher) == expected


def test_sample_efficiency_is_near_the_planted_factor_and_its_interval_holds_it(made_up: MakeUp) -> None:
    """The same end, reached with a third of the samples."""
    made = made_up(diverged=(), episodes=200, seed_spread=0.005)
    for metric in made.metrics.values():
        metric.high = dict.fromkeys(metric.high, 0.8)
        metric.half = {"jepa": 1000, "token": 3000}
        metric.unit = "percent"
    budgets = tuple(2.0**-k for k in range(9, -1, -1))
    made.budgets = budgets
    summary = summarise(gather(made.comparison(), made.write()))
    found = next(
        e
        for e in summary.efficiencies
        if (e.metric, e.quality_of, e.axis) == ("VQA, accuracy", "reference", "samples")
    )
    # where each planted curve has what the reference has in the end
    target = made.metrics["VQA, accuracy"].quality("token", 32_000)
    grid = np.geomspace(100, 32_000, 4000)
    curve = [made.metrics["VQA, accuracy"].quality("jepa", at) for at in grid]
    truth = 32_000 / float(np.interp(target, curve, grid))
    assert truth == pytest.approx(3, rel=0.01)
    assert found.low is not None
    assert found.high is not None
    assert found.low < truth < found.high
    assert found.ratio == pytest.approx(truth, rel=0.5)


def test_what_is_not_reached_is_said(summary: Summary) -> None:
    of = {(e.metric, e.quality_of): e for e in summary.efficiencies if e.axis == "samples"}
    lost = of["VQA, accuracy", "reference"]
    assert (lost.arm_needs, lost.ratio, lost.low) == (None, 0.0, 0.0)
    won = of["retrieval, text-to-video R@1", "arm"]
    assert (won.reference_needs, won.ratio, won.high) == (None, np.inf, np.inf)
    clear = of["retrieval, text-to-video R@1", "reference"]
    assert clear.ratio > 3
    assert DECODED not in {e.metric for e in summary.efficiencies}  # one budget makes no curve


def test_the_file_holds_it_all(summary: Summary, tmp_path: Any) -> None:
    summary.save(tmp_path / "summary.json")
    assert Summary.load(tmp_path / "summary.json") == summary
