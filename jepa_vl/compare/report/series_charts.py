"""Pictures of a series: what its arms score step by step, beside those that they are compared with."""

from __future__ import annotations

from collections.abc import Sequence

from jepa_vl.compare.report.document import Figures, Panel
from jepa_vl.compare.report.figures import Axes, Curve, panel, whole
from jepa_vl.compare.report.trends import step_names, steps_of
from jepa_vl.compare.summary import Estimate, MetricSummary, Summary
from jepa_vl.results.units import PRINTING

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
        _curve(name or "arms of the series", 0, [summary.mean(arm, metric.name) for arm in ours], metric),
        _curve(other or "compared with", 1, [summary.mean(arm, metric.name) for arm in others], metric),
    ]
    how = PRINTING[metric.unit]
    unit = how.sign.strip() or ("× 100" if metric.unit == "points" else "")
    level = None if metric.chance is None else (how.scale * metric.chance, "chance")
    y = f"{metric.metric}{', ' if unit else ''}{unit}"
    return Axes(metric.name, series, y, curves, level, steps)


def _curve(label: str, colour: int, steps: Sequence[Estimate | None], metric: MetricSummary) -> Curve:
    scale = PRINTING[metric.unit].scale
    there = [(place, step) for place, step in enumerate(steps) if step is not None]
    ends = [(e.low, e.high) for _, e in there if e.low is not None and e.high is not None]
    known = len(ends) == len(there)  # a band without an interval at one step would be drawn as if it had one
    seeds = list(dict.fromkeys(seed for _, e in there for seed in e.values))
    return Curve(
        label,
        colour,
        [place for place, _ in there],
        [scale * e.value for _, e in there],
        [scale * (low or 0) for low, _ in ends] if known else [],
        [scale * (high or 0) for _, high in ends] if known else [],
        [
            (
                [place for place, e in there if seed in e.values],
                [scale * e.values[seed] for _, e in there if seed in e.values],
            )
            for seed in seeds
        ],
    )


def _alt(axes: Axes) -> str:
    told = "; ".join(f"{c.label} {', '.join(f'{y:.3g}' for y in c.y)}" for c in axes.curves)
    return f"{axes.title} along {axes.x} ({', '.join(axes.steps)}): {told}"
