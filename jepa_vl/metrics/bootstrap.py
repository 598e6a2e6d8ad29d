"""Percentile bootstrap 95 % intervals of a statistic of per-sample values, by sample or by cluster."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
#: Values ``[n]`` and how often each was drawn ``[R, n]`` → the statistic of the R resamples ``[R]``.
Statistic = Callable[[Floats, Floats], Floats]

_CELLS = 2**22  # resamples are made in chunks of this many weights, 32 MB


def weighted_mean(values: Floats, weights: Floats) -> Floats:
    """Mean of each resample."""
    return (weights @ values) / weights.sum(axis=1)


def weighted_median(values: Floats, weights: Floats) -> Floats:
    """Median of each resample: the mean of the middle two where their number is even."""
    order = values.argsort()
    ranked = values[order]
    reached = weights[:, order].cumsum(axis=1)
    total = reached[:, -1:]
    lower = (reached > np.floor((total - 1) / 2)).argmax(axis=1)
    upper = (reached > np.floor(total / 2)).argmax(axis=1)
    return (ranked[lower] + ranked[upper]) / 2


def mean_per_class(labels: Sequence[Hashable] | npt.NDArray[Any]) -> Statistic:
    """Return the statistic "mean over classes of the mean of a class", over the classes a resample has."""
    _, index = np.unique(np.asarray(labels), return_inverse=True)
    one_hot = np.eye(int(index.max()) + 1)[index]  # [n, classes]

    def statistic(values: Floats, weights: Floats) -> Floats:
        counts = weights @ one_hot  # [R, classes]
        sums = (weights * values) @ one_hot
        means = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
        return means.sum(axis=1) / (counts > 0).sum(axis=1)

    return statistic


def bootstrap_interval(
    values: npt.ArrayLike,
    *,
    groups: Sequence[Hashable] | npt.NDArray[Any] | None = None,
    statistic: Statistic = weighted_mean,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile bootstrap 95 % interval of a statistic.

    Of few clusters it is too narrow: of 8 it holds the true mean in 85 to 88 of 100 cases, from some 20
    on in 91 to 94 (simulated with normal clusters).

    Args:
        values: One number for each of n samples, such as 1 for a right answer and 0 for a wrong one.
        groups: A key for each sample, such as its episode. Whole groups are drawn then (cluster
            bootstrap), because samples of one episode are not independent.
        statistic: What the interval is of; see `weighted_mean`.
        resamples: Number of resamples.
        seed: The same seed gives the same interval.

    Returns:
        The 2.5th and the 97.5th percentile of the resamples' statistics.

    Raises:
        ValueError: There are no values, or another number of groups than of values.
    """
    samples = np.asarray(values, dtype=np.float64)
    if samples.ndim != 1 or samples.size == 0:
        raise ValueError(f"values must be a non-empty vector, got shape {samples.shape}")
    n = samples.size
    cluster = np.arange(n)
    if groups is not None:
        if len(groups) != n:
            raise ValueError(f"{len(groups)} groups for {n} values")
        _, cluster = np.unique(np.asarray(groups), return_inverse=True)
    clusters = int(cluster.max()) + 1
    rng = np.random.default_rng(seed)
    chunk = max(1, _CELLS // n)
    found = []
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        draws = rng.integers(clusters, size=(rows, clusters)) + clusters * np.arange(rows)[:, None]
        times = np.bincount(draws.ravel(), minlength=rows * clusters).reshape(rows, clusters)
        found.append(statistic(samples, times[:, cluster].astype(np.float64)))
    low, high = np.quantile(np.concatenate(found), [0.025, 0.975])
    return float(low), float(high)
