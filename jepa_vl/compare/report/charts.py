"""From a summary to curves: each metric over samples, seconds and operations, and the paper's beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from jepa_vl.compare.report import paper_fig3
from jepa_vl.compare.report.document import Figures, Panel
from jepa_vl.compare.report.figures import Axes, Curve, panel, whole
from jepa_vl.compare.statistics.summary import ArmSummary, Estimate, MetricSummary, Point, Summary
from jepa_vl.results.units import PRINTING

AXES: Mapping[str, tuple[str, Callable[[Point], float]]] = {
    "samples": ("training samples seen", lambda point: point.samples),
    "seconds": ("training time, seconds", lambda point: point.seconds),
    "FLOPs": ("training FLOPs", lambda point: point.flops),
}
CAPTIONS = {
    "samples": "Mean over seeds (thick), 95 % interval over seeds and test episodes (band), every seed "
    "(thin).",
    "seconds": "The same over the wall-clock of training, without validation and evaluation.",
    "FLOPs": "The same over operations of training, forward and backward, without the frozen vision encoder, "
    "which is run once for all arms.",
}


def curves(summary: Summary, axis: str) -> Figures | None:
    """Return a panel for each metric that has two budgets; None where there is none, or no such axis."""
    panels = [found for metric in summary.metrics if (found := axes_of(summary, metric, axis))]
    if not panels:
        return None
    return _figures(axis, panels, summary, CAPTIONS[axis])


def axes_of(summary: Summary, metric: MetricSummary, axis: str) -> Axes | None:
    """Return the panel of one metric."""
    name, of = AXES[axis]
    lines = [
        curve
        for place, arm in enumerate(summary.arms)
        if (curve := _curve(summary, metric, arm, place, of)) is not None
    ]
    if not any(len(curve.x) > 1 for curve in lines):
        return None
    return Axes(metric.name, name, measured(metric), lines, chance(metric))


def measured(metric: MetricSummary) -> str:
    """Return the words beside the vertical axis."""
    unit = PRINTING[metric.unit].sign.strip() or ("× 100" if metric.unit == "points" else "")
    return f"{metric.metric}{', ' if unit else ''}{unit}"


def chance(metric: MetricSummary) -> tuple[float, str] | None:
    """Return the line of what chance scores."""
    return None if metric.chance is None else (PRINTING[metric.unit].scale * metric.chance, "chance")


def _curve(
    summary: Summary, metric: MetricSummary, arm: ArmSummary, place: int, of: Callable[[Point], float]
) -> Curve | None:
    there = [
        (of(point), estimate)
        for budget in summary.budgets
        if (point := summary.point(arm.name, budget))
        and (estimate := summary.mean(arm.name, metric.name, budget))
    ]
    there = [(x, estimate) for x, estimate in there if x > 0]
    return drawn(arm.about, place, there, metric) if there else None


def drawn(label: str, colour: int, there: Sequence[tuple[float, Estimate]], metric: MetricSummary) -> Curve:
    """Return the line of means at their places, with their band and a line of every seed."""
    scale = PRINTING[metric.unit].scale
    # a band without an interval at one end would be drawn as if it had one
    ends = [(e.low, e.high) for _, e in there if e.low is not None and e.high is not None]
    known = len(ends) == len(there)
    seeds = list(dict.fromkeys(seed for _, e in there for seed in e.values))
    return Curve(
        label,
        colour,
        [at for at, _ in there],
        [scale * e.value for _, e in there],
        [scale * (low or 0) for low, _ in ends] if known else [],
        [scale * (high or 0) for _, high in ends] if known else [],
        [
            (
                [at for at, e in there if seed in e.values],
                [scale * e.values[seed] for _, e in there if seed in e.values],
            )
            for seed in seeds
        ],
    )


def beside_paper(summary: Summary, kinds: Mapping[str, str]) -> Figures | None:
    """Return the paper's curves, each followed by ours of the same task; None without such a pair of arms.

    Args:
        summary: Ours.
        kinds: ``jepa`` and ``token`` → names of the arms that are these.
    """
    if kinds.keys() != {"jepa", "token"}:
        return None
    places = {arm.name: place for place, arm in enumerate(summary.arms)}
    panels = []
    for title, by_kind in paper_fig3.CURVES.items():
        task = "captioning" if title.startswith("captions") else "classification"
        lines = [
            Curve(summary.arm(kinds[kind]).about, places[kinds[kind]], paper_fig3.SAMPLES, values)
            for kind, values in by_kind.items()
        ]
        panels.append(Axes(f"paper: {title}", "training samples seen", title.rpartition(", ")[2], lines))
        ours = [m for m in summary.metrics if m.task == task]
        found = [axes for metric in ours if (axes := axes_of(summary, metric, "samples"))]
        both = [axes for axes in found if len([c for c in axes.curves if len(c.x) > 1]) > 1]
        for axes in (both or found)[:1]:
            panels.append(Axes(f"here: {axes.title}", axes.x, axes.y, axes.curves, axes.level))
    caption = f"{paper_fig3.SOURCE}. Other data, tasks and sizes: only shapes and ratios can be compared."
    return _figures("paper", panels, summary, caption, columns=2)


def _figures(
    name: str, panels: Sequence[Axes], summary: Summary, caption: str, *, columns: int = 3
) -> Figures:
    begun = summary.begun
    return Figures(
        name=f"curves-{name.lower()}",
        panels=[Panel(axes.title, panel(axes), _alt(axes)) for axes in panels],
        legend=[(arm.about, place % 7) for place, arm in enumerate(summary.arms) if arm in begun],
        caption=caption,
        whole=whole(panels, columns=columns),
        columns=columns,
    )


def _alt(axes: Axes) -> str:
    ends = "; ".join(f"{c.label} {c.y[0]:.3g} to {c.y[-1]:.3g}" for c in axes.curves)
    return f"{axes.title} over {axes.x}: {ends}"
