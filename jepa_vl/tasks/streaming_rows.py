"""The task ``streaming`` as rows of results, and as the long record that curves are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jepa_vl.streaming.evaluation.measures import (
    CIDER,
    LATENCY,
    PRECISION,
    REACHED,
    RECALL,
    SAID,
    SIMILARITY,
    Comparison,
    compare,
    measures_of,
)
from jepa_vl.streaming.evaluation.savings import Estimate, Saving, mean_of
from jepa_vl.streaming.evaluation.scores import PolicyScores, Scores, Spent
from jepa_vl.tasks.base import Result, Unit

UNITS: dict[str, Unit] = {
    CIDER: "points",
    SAID: "percent",
    RECALL: "percent",
    PRECISION: "percent",
    REACHED: "number",
    LATENCY: "number",
    SIMILARITY: "number",
}
NOTES = {
    CIDER: "of each annotation with the text decoded nearest to it in time, printed × 100",
    SAID: "the text decoded nearest in time is the annotation's very text",
    LATENCY: "median seconds from an annotation that is found to the first decision about it",
    REACHED: "of stream; may miss the rate asked for where the end is not seen",
}
SAVED: dict[Spent, str] = {
    "calls": "times fewer decodes at equal CIDEr",
    "decoding": "times less decoding time at equal CIDEr",
    "whole": "times less time at equal CIDEr",
    "sparse": "times less time at equal CIDEr, sparse uniform",
}
SAVED_NOTES: dict[Spent, str] = {
    "calls": "than uniform at the reference rate, by the fewest decodes that are as good",
    "decoding": "deciding and decoding, one text at a time",
    "whole": "every window embedded, one at a time, beside it",
    "sparse": "every window embedded, but for uniform only those that it decodes",
}
NON_INFERIOR = "times fewer decodes at 99 % of equal CIDEr"
BEHIND, WORST = "rates behind uniform", "CIDEr minus uniform's at the worst rate"


def rows(scores: Scores, task: str, shown_rates: Sequence[float], *, note: str = "") -> list[Result]:
    """Return the headline, what each policy saves, each policy at the shown rates, and the bounds.

    Args:
        scores: Of all policies at all rates.
        task: Name of the task.
        shown_rates: Rates that have rows of their own.
        note: What a reader of the headline must know.
    """
    n = len(scores.stream)
    found: list[Result] = []
    comparisons = {p.label: compare(scores, p) for p in scores.policies}
    headline = scores.headline
    saved = comparisons[headline.label].savings.get("calls")
    if headline.uniform:
        at = scores.rates.index(scores.reference_rate)
        of = mean_of(scores.by_stream(headline.at[at].cider), scores.annotations)
        told = f"{headline.label} at {scores.reference_rate:g} Hz; no policy that chooses when was run"
        found.append(_row(task, CIDER, of, n, "all", "points", "; ".join(filter(None, [told, note]))))
    elif saved is not None:
        explained = "; ".join(filter(None, [_explained(scores, headline, saved), note]))
        first = _row(task, SAVED["calls"], saved, n, "all", "number", explained)
        own = comparisons[headline.label].own
        first.baselines = {} if own is None else {"uniform": own.value}
        found.append(first)
    for policy in scores.policies:
        if not policy.uniform:
            found += _compared(scores, task, policy, comparisons[policy.label])
    for policy in scores.policies:
        for judged in policy.at:
            if judged.decided.rate not in shown_rates:
                continue
            group = f"{policy.label} @ {judged.decided.rate:g} Hz"
            for metric, of in measures_of(scores, policy, judged).items():
                if metric == SIMILARITY:
                    continue  # in the details
                row = _row(task, metric, of, n, group, UNITS[metric], NOTES.get(metric, ""))
                if metric == PRECISION:
                    row.n = int(judged.decided.calls.sum())
                row.higher_is_better = metric not in (LATENCY, REACHED)
                found.append(row)
    for bound in scores.bounds:
        of = mean_of(scores.by_stream(bound.cider), scores.annotations)
        found.append(_row(task, CIDER, of, n, bound.name, "points", bound.note))
    return found


def _explained(scores: Scores, policy: PolicyScores, saved: Saving) -> str:
    reference = scores.reference_of(policy)
    at = scores.rates.index(scores.reference_rate)
    seconds = scores.durations.sum()
    calls = reference.at[at].decided.calls.sum()
    text = f"{policy.label}, as good as {reference.label} at {calls / seconds:.3g} Hz"
    if saved.value == 0:
        return f"{text}: at no rate"
    return f"{text}: at {saved.calls / seconds:.3g} Hz{', the lowest rate: at least' if saved.beyond else ''}"


def _compared(scores: Scores, task: str, policy: PolicyScores, compared: Comparison) -> list[Result]:
    n, group = len(scores.stream), policy.label
    found = [
        _saving(task, SAVED[kind], saved, n, group, SAVED_NOTES[kind])
        for kind, saved in compared.savings.items()
        if kind == "calls" or not policy.bound  # a bound is nothing to use, whatever time it takes
    ]
    if policy.bound:
        return found
    if compared.non_inferior is not None:
        found.insert(1, _saving(task, NON_INFERIOR, compared.non_inferior, n, group, SAVED_NOTES["calls"]))
    worst = compared.differences[compared.worst]
    where = f"{scores.rates[compared.worst]:g} Hz, beside {compared.reference}"
    found.append(_row(task, WORST, worst, n, group, "points", where))
    behind = Result(task, BEHIND, float(compared.behind), len(scores.rates), group=group, unit="number")
    behind.higher_is_better = False
    behind.note = "of n rates, those with the whole interval of the difference below zero"
    return [*found, behind]


def _saving(task: str, metric: str, saved: Saving, n: int, group: str, note: str) -> Result:
    if saved.value == 0:
        note = "0: not reached at any rate"
    if saved.beyond:
        note = f"{note}; at least: reached at the lowest rate"
    return _row(task, metric, saved, n, group, "number", note)


def _row(task: str, metric: str, of: Estimate, n: int, group: str, unit: Unit, note: str) -> Result:
    return Result(task, metric, of.value, n, None, of.low, of.high, group, {}, note, unit=unit)


def details(scores: Scores) -> dict[str, Any]:
    """Return every number of every policy at every rate, for ``streaming.json``."""
    return {
        "streams": len(scores.durations),
        "seconds": float(scores.durations.sum()),
        "windows": int(scores.windows.sum()),
        "annotations": len(scores.stream),
        "rates": scores.rates,
        "reference_rate": scores.reference_rate,
        "tolerance": scores.tolerance,
        "seconds_per_window": scores.cost.window,
        "seconds_per_decode": scores.cost.decode,
        "headline": scores.headline.label,
        "policies": [_policy(scores, policy) for policy in scores.policies],
        "bounds": {
            b.name: _numbers(mean_of(scores.by_stream(b.cider), scores.annotations)) for b in scores.bounds
        },
    }


def _policy(scores: Scores, policy: PolicyScores) -> dict[str, Any]:
    compared = compare(scores, policy)
    at = []
    for judged, apart in zip(policy.at, compared.differences, strict=True):
        numbers = {name: _numbers(of) for name, of in measures_of(scores, policy, judged).items()}
        at.append(
            {
                "rate": judged.decided.rate,
                "decodes": int(judged.decided.calls.sum()),
                "seconds of deciding": float(judged.decided.seconds.sum()),
                "minus uniform": _numbers(apart),
                **numbers,
            }
        )
    savings = {SAVED[kind]: _numbers(saved) for kind, saved in compared.savings.items()}
    if compared.non_inferior is not None:
        savings[NON_INFERIOR] = _numbers(compared.non_inferior)
    return {
        "label": policy.label,
        "causal": policy.causal,
        "pooled": policy.pooled,
        "bound": policy.bound,
        "compared with": compared.reference,
        "savings": savings,
        "at": at,
    }


def _numbers(of: Estimate) -> dict[str, float]:
    return {"value": of.value, "low": of.low, "high": of.high}
