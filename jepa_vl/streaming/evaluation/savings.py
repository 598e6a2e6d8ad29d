"""How much less a policy spends than a reference of the same quality, with intervals over streams."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jepa_vl.metrics.bootstrap import bootstrap_interval

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """Quality and cost of a policy over R rates, by stream, so that streams can be drawn again.

    Attributes:
        quality: Sum over the annotations of each of S streams ``[S, R]``.
        calls: Decodes ``[S, R]``.
        spent: What is to be saved ``[S, R]``: the decodes themselves, or seconds of computing.
    """

    quality: Floats
    calls: Floats
    spent: Floats


@dataclass(frozen=True)
class Estimate:
    """A number with its bootstrap 95 % interval; whole streams are drawn."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Saving(Estimate):
    """How many times less is spent; 0 where the quality is not reached at any rate.

    Attributes:
        calls: Decodes at which the quality is reached, over all streams.
        beyond: The quality is reached at the lowest rate already, so that the saving may be larger.
    """

    calls: float
    beyond: bool


def saving(
    policy: Curve, reference: Curve, annotations: Floats, *, share: float = 1.0, resamples: int = 2000
) -> Saving:
    """Return how many times less a policy spends than a reference where it is as good.

    The policy's curve is followed from the fewest decodes on, with straight lines between rates over the
    logarithm of what is spent, to the first point at which its mean quality reaches that of the reference.

    Args:
        policy: Over R rates.
        reference: At one rate, ``[S, 1]``.
        annotations: Number of each stream ``[S]``.
        share: Of the reference's quality that must be reached.
        resamples: Of the bootstrap; both curves are made anew for each.
    """

    def ratio(_: Floats, weights: Floats) -> Floats:
        wanted = share * _mean(weights, reference.quality, annotations)[:, 0]
        spent, _calls, _lowest = _reached(policy, annotations, weights, wanted)
        return (weights @ reference.spent)[:, 0] / spent  # 0 where infinitely much

    ones = np.ones((1, len(annotations)))
    wanted = share * _mean(ones, reference.quality, annotations)[:, 0]
    _, calls, lowest = _reached(policy, annotations, ones, wanted)
    value = float(ratio(annotations, ones)[0])
    low, high = bootstrap_interval(np.zeros(len(annotations)), statistic=ratio, resamples=resamples)
    return Saving(value, low, high, float(calls[0]), bool(lowest[0]))


def difference(policy: Curve, reference: Curve, annotations: Floats, rate: int) -> Estimate:
    """Return mean quality minus the reference's at one place among the rates, in pairs of streams."""
    apart = policy.quality[:, rate] - reference.quality[:, rate]  # [S]
    return mean_of(apart, annotations)


def mean_of(sums: Floats, counts: Floats) -> Estimate:
    """Return Σ sums / Σ counts, both by stream ``[S]``."""

    def mean(values: Floats, weights: Floats) -> Floats:
        total = weights @ counts
        return np.divide(weights @ values, total, out=np.zeros_like(total), where=total > 0)

    low, high = bootstrap_interval(sums, statistic=mean)
    return Estimate(float(mean(sums, np.ones((1, len(sums))))[0]), low, high)


def _mean(weights: Floats, sums: Floats, annotations: Floats) -> Floats:
    return (weights @ sums) / (weights @ annotations)[:, None]


def _reached(
    policy: Curve, annotations: Floats, weights: Floats, wanted: Floats
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """What is spent where ``wanted [B]`` is reached, the decodes there, and whether at the lowest rate."""
    calls = weights @ policy.calls  # [B, R]
    order = calls.argsort(axis=1, kind="stable")  # an online policy need not keep the order of the rates

    def ordered(values: Floats) -> Floats:
        return np.take_along_axis(values, order, axis=1)

    quality = ordered(_mean(weights, policy.quality, annotations))
    good = (quality >= wanted[:, None] - 1e-12) & (ordered(calls) > 0)
    first = good.argmax(axis=1)
    before = (first - 1).clip(min=0)
    row = np.arange(len(wanted))
    rise = quality[row, first] - quality[row, before]
    sloped = (rise > 0) & (ordered(calls)[row, before] > 0)  # from no decodes at all there is no line
    part = np.divide(wanted - quality[row, before], rise, out=np.ones_like(rise), where=sloped)

    def between(values: Floats) -> Floats:
        logs = np.log(np.maximum(ordered(values), np.finfo(np.float64).tiny))
        return np.exp(logs[row, before] * (1 - part) + logs[row, first] * part)

    never = ~good.any(axis=1)
    spent = np.where(never, np.inf, between(weights @ policy.spent))
    return spent, np.where(never, np.inf, between(calls)), (first == 0) & ~never
