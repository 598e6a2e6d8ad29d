"""All changes of an ablation in one picture, beside the paper's."""

from __future__ import annotations

from jepa_vl.compare.report import forest
from jepa_vl.compare.report.ablation import paper_change
from jepa_vl.compare.report.document import Figures, Panel
from jepa_vl.compare.report.numbers import label
from jepa_vl.compare.statistics.summary import ArmSummary, MetricSummary, Summary
from jepa_vl.results.units import PRINTING

LEGEND = "here; hollow where the interval holds 0", "the paper's"


def changes(summary: Summary) -> Figures | None:
    """Return every arm's change of every metric, and the paper's; None where there is none."""
    last = summary.budgets[-1]
    arms = [
        arm
        for arm in summary.begun
        if arm.against and any(summary.difference(arm.name, metric.name, last) for metric in summary.metrics)
    ]
    columns = [
        forest.Column(metric.name, _points(metric), [_change(summary, arm, metric) for arm in arms])
        for metric in summary.metrics
    ]
    if not arms:
        return None
    rows = [label(summary, arm) for arm in arms]
    return Figures(
        name="changes",
        panels=[Panel("", forest.panel(rows, columns), _alt(rows, columns))],
        legend=[(LEGEND[0], forest.OURS), (LEGEND[1], forest.PAPER)],
        caption="What each arm changes, at the full budget: mean over seeds (dot), 95 % interval over seeds "
        "and test episodes (bar), every seed (tick), and what the paper reports (diamond). An arrow at the "
        "edge is of a mean far beyond it.",
        whole=forest.whole(rows, columns, LEGEND),
        columns=1,
    )


def _points(metric: MetricSummary) -> str:
    if metric.unit == "percent":
        return "percentage points"
    return metric.metric + (" × 100" if PRINTING[metric.unit].scale == 100 else "")


def _change(summary: Summary, arm: ArmSummary, metric: MetricSummary) -> forest.Change:
    ours = summary.difference(arm.name, metric.name, summary.budgets[-1])
    paper = paper_change(summary, arm.name, metric.name)
    if ours is None:
        return forest.Change(paper=paper)
    scale = PRINTING[metric.unit].scale
    return forest.Change(
        scale * ours.value,
        None if ours.low is None else scale * ours.low,
        None if ours.high is None else scale * ours.high,
        [scale * value for value in ours.values.values()],
        ours.verdict in ("better", "worse"),
        paper,
    )


def _alt(rows: list[str], columns: list[forest.Column]) -> str:
    told = []
    for column in columns:
        each = [
            f"{row} {c.value:+.1f}"
            for row, c in zip(rows, column.changes, strict=True)
            if c.value is not None
        ]
        told.append(f"{column.title}: {', '.join(each)}")
    return "Changes. " + "; ".join(told)
