"""Pictures of a series: what its arms score step by step, beside those that they are compared with."""

from __future__ import annotations

from collections.abc import Sequence

from jepa_vl.compare.report.charts import chance, drawn, measured
from jepa_vl.compare.report.document import Figures, Panel
from jepa_vl.compare.report.figures import Axes, Curve, panel, whole
from jepa_vl.compare.report.trends import step_names, steps_of
from jepa_vl.compare.statistics.summary import MetricSummary, Summary

CAPTION = (
    "At the full budget. Mean over seeds (thick), 95 % interval over seeds and test episodes (band), every "
    "seed (thin)."
)


def along(summary: Summary) -> list[Figures]:
    """Return a figure for each series with a panel for each metric that has two steps or more."""
    found = []
    for number, series in enumerate(dict.fromkeys(each.series for each in summary.trends), start=1):
        panels = [axes for metric in summary.metrics if (axes := _axes(summary, series, metric))]
        if panels:
            found.append(
                Figures(
                    name=f"series-{number}",
                    panels=[Panel(axes.title, panel(axes), _alt(axes)) for axes in panels],
                    legend=[(curve.label, curve.colour) for curve in panels[0].curves],
                    caption=CAPTION,
                    whole=whole(panels),
                )
            )
    return found


def _axes(summary: Summary, series: str, metric: MetricSummary) -> Axes | None:
    ours = [step.arm for step in steps_of(summary, series, metric)]
    if len(ours) < 2:
        return None
    others = [summary.arm(arm).against for arm in ours]
    name, steps = step_names([summary.arm(arm).about for arm in ours])
    other, _ = step_names([summary.arm(arm).about for arm in others])
    curves = [
        _curve(summary, name or "arms of the series", 0, ours, metric),
        _curve(summary, other or "compared with", 1, others, metric),
    ]
    return Axes(metric.name, series, measured(metric), curves, chance(metric), steps)


def _curve(summary: Summary, label: str, colour: int, arms: Sequence[str], metric: MetricSummary) -> Curve:
    steps = [(place, summary.mean(arm, metric.name)) for place, arm in enumerate(arms)]
    return drawn(label, colour, [(place, mean) for place, mean in steps if mean is not None], metric)


def _alt(axes: Axes) -> str:
    told = "; ".join(f"{c.label} {', '.join(f'{y:.3g}' for y in c.y)}" for c in axes.curves)
    return f"{axes.title} along {axes.x} ({', '.join(axes.steps)}): {told}"
