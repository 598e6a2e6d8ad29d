"""The paired two-level bootstrap: seeds and whole episodes are drawn, the same ones for all arms.

Seeds and test episodes are crossed: every trained model is asked about every episode. So a resample draws
seeds and draws episodes, and a cell counts as often as the product says (Owen, *The pigeonhole bootstrap*,
2007). Drawing other episodes for each seed would count the episodes once for each seed, and so give
intervals that are too narrow by far.

Percentiles of such draws are still too narrow for few seeds: with S of them their variance is (S − 1) / S of
what it should be, and a normal's quantile stands where Student's should (Hesterberg, *What teachers should
know about the bootstrap*, 2015); with 5 seeds an interval of 95 % would hold 83 %. And what seed and episode
do together is counted more than once. `stretch` makes up for both: it moves the draws away from, or towards,
the estimate so that they have the variance of a crossed design with random seeds and episodes, and the
tails of its degrees of freedom (Satterthwaite); their skewness stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit  # type: ignore[import-untyped]

Floats = npt.NDArray[np.float64]
#: What an interval speaks of: what may change when the experiment is made again.
Over = Literal["seeds and episodes", "episodes", "seeds", "nothing"]

RESAMPLES = 2000
FEWEST_SEEDS = 3
LEVEL = 0.95


@dataclass(frozen=True)
class Scores:
    """What the runs of an arm scored on one metric at one budget.

    Attributes:
        seeds: S seeds.
        values: ``[S]``, the metric of each run.
        sums: ``[S, E]``, of each episode's samples, whose mean the metric is; None where it is no mean.
        counts: ``[E]``, samples of each episode; None with ``sums``.
    """

    seeds: tuple[int, ...]
    values: Floats
    sums: Floats | None = None
    counts: Floats | None = None

    def of(self, seeds: tuple[int, ...]) -> Scores:
        """Return those of some of the seeds, in that order."""
        rows = [self.seeds.index(seed) for seed in seeds]
        return Scores(seeds, self.values[rows], None if self.sums is None else self.sums[rows], self.counts)

    def without_outcomes(self) -> Scores:
        """Return the runs' values alone."""
        return Scores(self.seeds, self.values)


@dataclass(frozen=True)
class Resampled:
    """A number and its bootstrap draws; sums and differences of two with the same draws are paired.

    Attributes:
        estimate: On all seeds and episodes.
        joint: ``[R]``, both drawn, or the one that can be.
        by_seed: ``[R]``, the same draws of seeds with all episodes.
        by_episode: ``[R]``, the same draws of episodes with all seeds.
        seeds: S; 1 where seeds are not drawn.
        episodes: E; 1 where episodes are not drawn.
    """

    estimate: float
    joint: Floats
    by_seed: Floats
    by_episode: Floats
    seeds: int
    episodes: int

    def __sub__(self, other: Resampled) -> Resampled:
        return Resampled(
            self.estimate - other.estimate,
            self.joint - other.joint,
            self.by_seed - other.by_seed,
            self.by_episode - other.by_episode,
            self.seeds,
            self.episodes,
        )

    @property
    def over(self) -> Over:
        """What was drawn."""
        if self.seeds > 1:
            return "seeds and episodes" if self.episodes > 1 else "seeds"
        return "episodes" if self.episodes > 1 else "nothing"


@cache
def _counts(n: int, resamples: int, stream: int) -> Floats:
    """How often each of n was drawn in each resample, ``[R, n]``: always the same for the same n."""
    draws = np.random.default_rng((stream, n)).integers(n, size=(resamples, n))
    places = draws + n * np.arange(resamples)[:, None]
    counted: npt.NDArray[Any] = np.bincount(places.ravel(), minlength=resamples * n)
    return counted.reshape(resamples, n).astype(np.float64)


def resample(scores: Scores, *, resamples: int = RESAMPLES) -> Resampled:
    """Draw seeds and episodes and return the mean of each draw.

    With fewer than three seeds these are not drawn, and without outcomes episodes are not.
    """
    n = len(scores.values)
    few = n < FEWEST_SEEDS
    seeds = np.ones((resamples, n)) if few else _counts(n, resamples, 0)
    seeds = seeds / n  # [R, S]
    if scores.sums is None or scores.counts is None or len(scores.counts) < 2:
        estimate = float(scores.values.mean())
        drawn = seeds @ scores.values
        return Resampled(estimate, drawn, drawn, np.full(resamples, estimate), 1 if few else n, 1)
    episodes = _counts(len(scores.counts), resamples, 1)  # [R, E]
    size = episodes @ scores.counts  # [R]
    total = scores.counts.sum()
    over_seeds = scores.sums.mean(axis=0)  # [E]
    estimate = float(over_seeds.sum() / total)
    return Resampled(
        estimate,
        ((seeds @ scores.sums) * episodes).sum(axis=1) / size,
        seeds @ scores.sums.sum(axis=1) / total,
        episodes @ over_seeds / size,
        1 if few else n,
        len(scores.counts),
    )


def stretch(of: Resampled) -> Floats:
    """Return the draws ``[R]`` as wide as few seeds demand; their percentiles are the interval."""
    spread = float(of.joint.var())
    if of.over == "nothing" or spread == 0:
        return of.joint
    by_seed = float(of.by_seed.var()) * of.seeds / (of.seeds - 1) if of.seeds > 1 else 0.0
    by_episode = float(of.by_episode.var()) * of.episodes / (of.episodes - 1) if of.episodes > 1 else 0.0
    # what seed and episode do together is in both of them, and once more in the joint draws
    both = 0.0
    if of.over == "seeds and episodes":
        extra = spread - float(of.by_seed.var()) - float(of.by_episode.var())
        both = max(0.0, extra) * of.seeds / (of.seeds - 1)
        if max(by_seed, by_episode) < 1e-9 * both:  # gains and losses cancel out in every seed and episode
            by_seed = by_episode = both
    variance = max(by_seed + by_episode - both, by_seed, by_episode)
    freedom = _freedom((by_seed, of.seeds), (by_episode, of.episodes))
    tail = 0.5 + LEVEL / 2
    wider = float(stdtrit(freedom, tail) / ndtri(tail)) * (variance / spread) ** 0.5
    return of.estimate + wider * (of.joint - of.estimate)


def _freedom(*parts: tuple[float, int]) -> float:
    """Satterthwaite's degrees of freedom of a sum of variances, each of n units."""
    whole = sum(variance for variance, _ in parts)
    return whole**2 / sum(variance**2 / (n - 1) for variance, n in parts if n > 1 and variance > 0)


def interval(of: Resampled) -> tuple[float, float] | None:
    """Return the 95 % interval; None where nothing could be drawn."""
    if of.over == "nothing":
        return None
    low, high = np.quantile(stretch(of), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
