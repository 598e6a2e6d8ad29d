"""Numbers of a policy at a rate, and of its whole curve, with bootstrap intervals over streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from jepa_vl.metrics.bootstrap import bootstrap_interval, weighted_median
from jepa_vl.streaming.evaluation.quality import Floats
from jepa_vl.streaming.evaluation.savings import Curve, Estimate, Saving, difference, mean_of, saving
from jepa_vl.streaming.evaluation.scores import Judged, PolicyScores, Scores, Spent

CIDER, SAID, RECALL, PRECISION = "CIDEr", "said", "event recall", "event precision"
SIMILARITY, LATENCY, REACHED = "similarity", "latency", "decodes a second"
NON_INFERIOR = 0.99  # of the reference's quality


def measures_of(scores: Scores, policy: PolicyScores, judged: Judged) -> dict[str, Estimate]:
    """Return every number of a policy at one rate.

    Latency is there for causal policies that found an annotation, similarity where there are embeddings.
    """
    decided, annotations = judged.decided, scores.annotations

    def mean(values: Floats) -> Estimate:  # [A]
        return mean_of(scores.by_stream(values), annotations)

    found = {
        CIDER: mean(judged.cider),
        SAID: mean(judged.said),
        RECALL: mean(decided.found),
        PRECISION: mean_of(decided.about, decided.calls),
        REACHED: mean_of(decided.calls, scores.durations),
    }
    if judged.similarity is not None:
        found[SIMILARITY] = mean(judged.similarity)
    there = decided.found > 0
    if policy.causal and there.any():
        values = decided.latency[there]
        low, high = bootstrap_interval(values, groups=scores.stream[there], statistic=weighted_median)
        found[LATENCY] = Estimate(float(np.median(values)), low, high)
    return found


@dataclass(frozen=True)
class Comparison:
    """A policy beside uniform decoding with the same pooling.

    Attributes:
        reference: Label of the uniform policy.
        savings: How many times less is spent where the reference's CIDEr at its rate is reached, by what is
            saved; empty where the reference has no quality to reach.
        non_inferior: How many times fewer decodes reach 99 % of it.
        own: How many times fewer decodes the reference itself seems to need: 1 but for bumps of its curve.
        differences: CIDEr minus the reference's at each rate ``[R]``, in pairs of streams.
    """

    reference: str
    savings: Mapping[Spent, Saving]
    non_inferior: Saving | None
    own: Saving | None
    differences: list[Estimate]

    @property
    def worst(self) -> int:
        """Place of the rate at which it is behind the most."""
        return min(range(len(self.differences)), key=lambda r: self.differences[r].value)

    @property
    def behind(self) -> int:
        """Number of rates at which the whole interval of the difference lies below zero."""
        return sum(d.high < 0 for d in self.differences)


def compare(scores: Scores, policy: PolicyScores) -> Comparison:
    """Compare a policy with uniform decoding."""
    reference = scores.reference_of(policy)
    at = scores.rates.index(scores.reference_rate)
    annotations = scores.annotations
    mine, theirs = _curve(scores, policy), _curve(scores, reference)
    differences = [difference(mine, theirs, annotations, r) for r in range(len(scores.rates))]
    if theirs.quality[:, at].sum() <= 0:
        return Comparison(reference.label, {}, None, None, differences)
    kinds: list[Spent] = ["calls", "decoding", "whole"]
    if not reference.pooled:
        kinds.append("sparse")
    savings: dict[Spent, Saving] = {}
    for kind in kinds:
        ours, uniform = scores.curve(policy, kind), scores.curve(reference, kind)
        if ours is not None and uniform is not None:
            savings[kind] = saving(ours, _at(uniform, at), annotations)
    return Comparison(
        reference=reference.label,
        savings=savings,
        non_inferior=saving(mine, _at(theirs, at), annotations, share=NON_INFERIOR),
        own=saving(theirs, _at(theirs, at), annotations),
        differences=differences,
    )


def _curve(scores: Scores, policy: PolicyScores) -> Curve:
    found = scores.curve(policy, "calls")
    assert found is not None
    return found


def _at(curve: Curve, rate: int) -> Curve:
    """One rate of a curve."""
    one = slice(rate, rate + 1)
    return Curve(curve.quality[:, one], curve.calls[:, one], curve.spent[:, one])
