from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from jepa_vl.metrics import bootstrap
from jepa_vl.metrics.bootstrap import bootstrap_interval, mean_per_class, weighted_mean, weighted_median


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_it_agrees_with_scipys_percentile_bootstrap(rng: np.random.Generator) -> None:
    values = rng.gamma(2.0, size=300)
    peer = scipy.stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=1)
    got = bootstrap_interval(values, resamples=20_000)
    assert got == pytest.approx((peer.confidence_interval.low, peer.confidence_interval.high), abs=0.01)


def test_the_interval_of_a_share_has_the_binomial_width() -> None:
    hits = np.arange(400) < 100
    low, high = bootstrap_interval(hits)
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(0.25 * 0.75 / 400), rel=0.06)
    assert low < 0.25 < high


def test_copies_within_an_episode_are_no_more_evidence(rng: np.random.Generator) -> None:
    """Each sample five times: clusters give the interval of single samples, a plain draw too narrow a one."""
    values = rng.random(60)
    groups = np.repeat(np.arange(60), 5)
    single = bootstrap_interval(values)
    assert bootstrap_interval(np.repeat(values, 5), groups=groups) == pytest.approx(single)
    low, high = bootstrap_interval(np.repeat(values, 5))
    assert high - low < 0.6 * (single[1] - single[0])


def test_clusters_of_uneven_size_agree_with_a_slow_loop(rng: np.random.Generator) -> None:
    values = rng.random(30)
    groups = [f"episode {i}" for i in rng.integers(8, size=30)]
    names = sorted(set(groups))
    means = []
    for _ in range(4000):
        drawn = [
            v
            for name in rng.choice(names, len(names))
            for v, g in zip(values, groups, strict=True)
            if g == name
        ]
        means.append(np.mean(drawn))
    want = np.quantile(means, [0.025, 0.975])
    assert bootstrap_interval(values, groups=groups, resamples=4000) == pytest.approx(want, abs=0.02)


@pytest.mark.parametrize("statistic", [weighted_mean, weighted_median])
def test_weighted_statistics_are_those_of_the_drawn_samples(statistic, rng: np.random.Generator) -> None:
    values = rng.normal(size=9).round(1)
    weights = rng.integers(0, 4, size=(50, 9)).astype(float)
    weights[:, 0] += 1
    plain = np.mean if statistic is weighted_mean else np.median
    want = [plain(np.repeat(values, row.astype(int))) for row in weights]
    np.testing.assert_allclose(statistic(values, weights), want, atol=1e-12)


def test_mean_per_class_weighs_classes_equally_and_leaves_out_those_not_drawn() -> None:
    values = np.array([1.0, 0.0, 0.0, 1.0])
    statistic = mean_per_class(["a", "b", "b", "b"])
    weights = np.array([[1, 1, 1, 1], [0, 1, 0, 1], [3, 2, 0, 0]], dtype=float)
    np.testing.assert_allclose(statistic(values, weights), [(1 + 1 / 3) / 2, 1 / 2, 1 / 2])


def test_memory_chunks_do_not_change_the_result(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    values = rng.random(50)
    whole = bootstrap_interval(values)
    monkeypatch.setattr(bootstrap, "_CELLS", 700)
    assert bootstrap_interval(values) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize(("episodes", "least", "most"), [(8, 0.80, 0.91), (60, 0.90, 0.98)])
def test_an_interval_holds_the_true_mean_as_often_as_it_says(
    episodes: int, least: float, most: float, rng: np.random.Generator
) -> None:
    """With few clusters it is too narrow, as the docstring says."""
    held = 0
    for _ in range(400):
        values = rng.normal(size=episodes).repeat(3) + rng.normal(size=3 * episodes)
        low, high = bootstrap_interval(values, groups=np.arange(episodes).repeat(3), resamples=300)
        held += low <= 0 <= high
    assert least < held / 400 < most


def test_the_seed_decides(rng: np.random.Generator) -> None:
    values = rng.random(50)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)


def test_one_value_is_its_own_interval() -> None:
    assert bootstrap_interval([0.4]) == pytest.approx((0.4, 0.4))


def test_nothing_to_resample_and_misfitting_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="non-empty"):
        bootstrap_interval([])
    with pytest.raises(ValueError, match="2 groups for 3 values"):
        bootstrap_interval([1, 2, 3], groups=["a", "b"])
