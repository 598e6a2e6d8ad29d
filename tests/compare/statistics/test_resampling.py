"""The two-level bootstrap: against loops, closed forms, and experiments whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from jepa_vl.compare.statistics.resampling import Resampled, Scores, _counts, interval, resample, stretch
from jepa_vl.metrics.bootstrap import bootstrap_interval

SHAPES = [(5, 40), (3, 12), (9, 7)]


def scores_of(values: np.ndarray, counts: np.ndarray | None = None) -> Scores:
    """Scores of per-episode means ``[S, E]``."""
    counts = np.ones(values.shape[1]) if counts is None else counts
    sums = values * counts
    return Scores(tuple(range(len(values))), sums.sum(1) / counts.sum(), sums, counts)


def crossed(rng: np.random.Generator, spread: tuple[float, float, float], shape: tuple[int, int]) -> Scores:
    """Return scores of a true mean of 0, with effects of seed, of episode, and of both."""
    by_seed, by_episode, both = spread
    seeds, episodes = shape
    return scores_of(
        by_seed * rng.normal(size=(seeds, 1))
        + by_episode * rng.normal(size=(1, episodes))
        + both * rng.normal(size=shape)
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_a_draw_is_the_mean_over_the_drawn_runs_and_the_samples_of_the_drawn_episodes(
    shape: tuple[int, int],
) -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 5, size=shape[1])
    outcomes = [[rng.random(n) for n in counts] for _ in range(shape[0])]  # of each run, episode, sample
    sums = np.array([[each.sum() for each in run] for run in outcomes])
    found = resample(Scores(tuple(range(shape[0])), np.zeros(shape[0]), sums, counts.astype(float)))
    seeds, episodes = _counts(shape[0], 2000, 0), _counts(shape[1], 2000, 1)
    for r in (0, 1, 777):
        drawn_seeds = np.repeat(np.arange(shape[0]), seeds[r].astype(int))
        drawn_episodes = np.repeat(np.arange(shape[1]), episodes[r].astype(int))
        assert len(drawn_seeds) == shape[0]
        assert len(drawn_episodes) == shape[1]
        slow = [
            value for s in drawn_seeds for e in drawn_episodes for value in outcomes[s][e]
        ]  # every sample, one by one
        assert found.joint[r] == pytest.approx(np.mean(slow))
        fixed = [value for s in drawn_seeds for each in outcomes[s] for value in each]
        assert found.by_seed[r] == pytest.approx(np.mean(fixed))


def test_a_difference_uses_the_same_seeds_and_episodes_for_both_arms() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(size=(5, 30))
    better = resample(scores_of(base + 0.25))
    low, high = interval(better - resample(scores_of(base))) or (0.0, 0.0)
    assert (low, high) == pytest.approx((0.25, 0.25))  # unpaired it would be about ± 0.3


def test_seeds_alone_give_students_interval() -> None:
    values = stats.norm.ppf((np.arange(12) + 0.5) / 12)  # no skewness, so that percentiles are symmetric
    found = resample(Scores(tuple(range(12)), values), resamples=20_000)
    assert found.over == "seeds"
    half = stats.t.ppf(0.975, 11) * values.std(ddof=1) / 12**0.5
    assert interval(found) == pytest.approx((-half, half), rel=0.04)


def test_two_seeds_leave_episodes_alone_as_in_the_interval_of_one_run() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=(2, 200))
    found = resample(scores_of(values))
    assert found.over == "episodes"
    assert interval(found) == pytest.approx(bootstrap_interval(values.mean(0)), abs=0.015)


def test_one_run_without_outcomes_has_no_interval() -> None:
    found = resample(Scores((1,), np.array([0.5])))
    assert (found.over, found.estimate, interval(found)) == ("nothing", 0.5, None)


def test_what_never_differs_has_an_interval_without_width() -> None:
    assert interval(resample(scores_of(np.ones((5, 20))))) == (1.0, 1.0)


@pytest.mark.parametrize("cells", [[[2.0, -1, -1, 0], [-2, 1, 1, 0], [0, 0, 0, 0]], np.eye(3).tolist()])
def test_gains_and_losses_that_cancel_out_in_every_seed_and_episode_have_a_width(
    cells: list[list[float]],
) -> None:
    """Variances of seeds and of episodes are 0 in the first case, and rounding errors in the second."""
    found = resample(scores_of(np.array(cells)))
    assert max(found.by_seed.var(), found.by_episode.var()) < 1e-30
    low, high = interval(found) or (0.0, 0.0)
    assert high - low > 2 * found.joint.std()


def test_the_variance_is_that_of_a_crossed_design() -> None:
    """Analysis of variance: (MS of seeds + MS of episodes − MS of what is left) / (S E)."""
    shape = (6, 50)
    values = np.random.default_rng(3).normal(size=shape) + np.random.default_rng(4).normal(size=(1, 50))
    of_seed, of_episode = values.mean(1, keepdims=True), values.mean(0, keepdims=True)
    rest = values - of_seed - of_episode + values.mean()
    mean_squares = (
        shape[1] * of_seed.var(ddof=1) + shape[0] * of_episode.var(ddof=1) - (rest**2).sum() / (5 * 49)
    )
    found = resample(scores_of(values), resamples=40_000)
    tail = 1.96
    wide = stretch(found).std() / (stats.t.ppf(0.975, _freedom(values)) / tail)
    assert wide**2 == pytest.approx(mean_squares / values.size, rel=0.1)


def _freedom(values: np.ndarray) -> float:
    seeds, episodes = values.shape
    a, b = values.mean(1).var(ddof=1) / seeds, values.mean(0).var(ddof=1) / episodes
    return float((a + b) ** 2 / (a**2 / (seeds - 1) + b**2 / (episodes - 1)))


def test_draws_keep_their_skewness() -> None:
    values = np.array([0.5, 0.5, 0.5, 0.5, 0.0])  # one run that learned nothing
    low, high = interval(resample(Scores((1, 2, 3, 4, 5), values))) or (0.0, 0.0)
    assert 0.4 - low > 1.3 * (high - 0.4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "spread", [(1.0, 0.1, 1.0), (0.02, 2.0, 1.0), (0.1, 1.0, 1.0), (0.1, 0.1, 3.0)], ids=str
)
@pytest.mark.parametrize("shape", [(5, 100), (3, 60)], ids=str)
def test_the_interval_holds_the_truth_in_95_of_100_experiments(
    spread: tuple[float, float, float], shape: tuple[int, int]
) -> None:
    """Whatever makes the spread: the seeds, the episodes, or what they do together (then it is too wide)."""
    rng = np.random.default_rng(5)
    experiments = 800
    held = percentile = 0
    for _ in range(experiments):
        found: Resampled = resample(crossed(rng, spread, shape), resamples=800)
        low, high = interval(found) or (0.0, 0.0)
        held += low <= 0 <= high
        plain = np.quantile(found.joint, [0.025, 0.975])
        percentile += bool(plain[0] <= 0 <= plain[1])
    assert 0.9 <= held / experiments <= 0.99
    if spread[0] == 1.0:  # what plain percentiles would give with so few seeds
        assert percentile / experiments < 0.87
