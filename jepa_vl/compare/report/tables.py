"""The tables of the numbers: at the full budget, at every budget, and the ratios of what is needed."""

from __future__ import annotations

from collections.abc import Sequence

from jepa_vl.compare.report.document import Cell, Table, Tone
from jepa_vl.compare.report.numbers import NONE, change, count, heading, label, mean, needs, ratio
from jepa_vl.compare.statistics.summary import ArmSummary, Efficiency, Estimate, MetricSummary, Summary
from jepa_vl.results.units import number

WIDE = 3  # arms that stand side by side


def at_full_budget(summary: Summary) -> Table:
    """Every metric of every arm with its interval, and the differences to the reference."""
    full = summary.budgets[-1]
    if len(summary.arms) > WIDE:
        rows = [
            [heading(metric), *_long(summary, metric, arm, full)]
            for metric in summary.metrics
            for arm in summary.begun
        ]
        return Table(["metric", "arm", "mean [95 %]", "difference", "seeds"], rows, words=2)
    others = _others(summary)
    headings = [
        "metric",
        *(label(summary, arm) for arm in summary.arms),
        *_minus(summary),
        "seeds",
        "episodes",
    ]
    rows = []
    for metric in summary.metrics:
        gaps = [summary.difference(arm.name, metric.name, full) for arm in others]
        means = [summary.mean(arm.name, metric.name, full) for arm in summary.arms]
        known = [e for e in (*gaps, *means) if e is not None]
        rows.append(
            [
                heading(metric) + _least(metric),
                *(mean(e, metric) for e in means),
                *(_gap(gap, metric) for gap in gaps),
                _seeds(means, gaps),
                _episodes(known[0]) if known else NONE,
            ]
        )
    return Table(headings, rows)


def growing(summary: Summary) -> list[MetricSummary]:
    """Return the metrics that were measured at two budgets or more."""
    budgets = {m.name: {e.budget for e in summary.means if e.metric == m.name} for m in summary.metrics}
    return [metric for metric in summary.metrics if len(budgets[metric.name]) > 1]


def at_every_budget(summary: Summary, metric: MetricSummary) -> Table:
    """One metric: a row a budget, or a budget and an arm where there are many arms."""
    budgets = [
        b for b in summary.budgets if any(e.metric == metric.name and e.budget == b for e in summary.means)
    ]
    if len(summary.arms) > WIDE:
        rows = [
            [_samples(summary, budget), *_long(summary, metric, arm, budget)]
            for budget in budgets
            for arm in summary.begun
        ]
        return Table(
            ["samples", "arm", "mean [95 %]", "difference", "seeds"],
            rows,
            words=2,
            title=heading(metric),
            folded=True,
        )
    others = _others(summary)
    rows = []
    for budget in budgets:
        gaps = [summary.difference(arm.name, metric.name, budget) for arm in others]
        means = [summary.mean(arm.name, metric.name, budget) for arm in summary.arms]
        rows.append(
            [
                f"{100 * budget:g} %",
                _samples(summary, budget),
                *(mean(e, metric) for e in means),
                *(_gap(gap, metric) for gap in gaps),
                _seeds(means, gaps),
            ]
        )
    headings = [
        "budget",
        "samples",
        *(label(summary, arm) for arm in summary.arms),
        *_minus(summary),
        "seeds",
    ]
    return Table(headings, rows, title=heading(metric), folded=True)


def efficiency(summary: Summary) -> Table | None:
    """What each arm needs for what the reference reaches, and for what it reaches itself."""
    keys = list(dict.fromkeys((e.arm, e.metric, e.quality_of) for e in summary.efficiencies))
    if not keys:
        return None
    by_key = {(e.arm, e.metric, e.quality_of, e.axis): e for e in summary.efficiencies}
    metrics = {metric.name: metric for metric in summary.metrics}
    many = len(summary.arms) > 2
    rows: list[list[str | Cell]] = []
    for arm, name, quality_of in keys:
        about, reference = summary.arm(arm).about, summary.arm(summary.arm(arm).against).about
        samples = by_key.get((arm, name, quality_of, "samples"))
        if samples is None:
            continue
        whose = reference if quality_of == "reference" else about
        rows.append(
            [
                *([about] if many else []),
                f"{name}: {number(samples.quality, metrics[name].unit)}, the end of {whose}",
                needs(samples.arm_needs, "samples"),
                needs(samples.reference_needs, "samples"),
                *(
                    _ratio(by_key.get((arm, name, quality_of, axis)))
                    for axis in ("samples", "seconds", "FLOPs")
                ),
            ]
        )
    headings = [
        *(["arm"] if many else []),
        "quality to reach",
        "samples, arm" if many else f"samples, {_others(summary)[0].about}",
        "samples, what it is compared with" if many else f"samples, {summary.arm(summary.reference).about}",
        "times fewer samples",
        "times less time",
        "times fewer FLOPs",
    ]
    return Table(headings, rows, words=2 if many else 1)


def _ratio(found: Efficiency | None) -> Cell:
    if found is None:
        return Cell(NONE)
    tone: Tone = ""
    if found.low is not None and found.low > 1:
        tone = "good"
    elif found.high is not None and found.high < 1:
        tone = "bad"
    return Cell(ratio(found), tone)


def _gap(gap: Estimate | None, metric: MetricSummary) -> Cell:
    tones: dict[str | None, Tone] = {"better": "good", "worse": "bad"}
    return Cell(change(gap, metric), tones.get(gap.verdict, "") if gap else "")


def _long(summary: Summary, metric: MetricSummary, arm: ArmSummary, budget: float) -> list[str | Cell]:
    own = summary.mean(arm.name, metric.name, budget)
    gap = summary.difference(arm.name, metric.name, budget)
    return [label(summary, arm), mean(own, metric), _gap(gap, metric), str(len(own.values)) if own else NONE]


def _others(summary: Summary) -> list[ArmSummary]:
    return [arm for arm in summary.arms if arm.against]


def _minus(summary: Summary) -> list[str]:
    others = _others(summary)
    return (
        ["difference"]
        if len(others) == 1
        else [f"{arm.about} − {summary.arm(arm.against).about}" for arm in others]
    )


def _least(metric: MetricSummary) -> str:
    return "" if metric.higher_is_better else " (less is better)"


def _seeds(means: Sequence[Estimate | None], gaps: Sequence[Estimate | None]) -> str:
    """Return the number of seeds of each mean, and of the pairs where that is another."""
    own = " / ".join(dict.fromkeys(str(len(e.values)) for e in means if e is not None))
    paired = " / ".join(dict.fromkeys(str(len(e.values)) for e in gaps if e is not None))
    return own if own == paired or not paired else f"{own}, paired {paired}"


def _episodes(estimate: Estimate) -> str:
    return count(estimate.n_episodes) if estimate.n_episodes else "seeds alone"


def _samples(summary: Summary, budget: float) -> str:
    points = [point for arm in summary.arms if (point := summary.point(arm.name, budget))]
    return " / ".join(dict.fromkeys(count(point.samples) for point in points))
