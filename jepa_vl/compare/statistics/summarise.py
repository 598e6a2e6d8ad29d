"""`summarise`: means with intervals, paired differences, how these change, and sample efficiency."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from jepa_vl.compare.plan import Arm, Metric
from jepa_vl.compare.statistics.efficiency import efficiencies
from jepa_vl.compare.statistics.gaps import estimate, gap, trends
from jepa_vl.compare.statistics.gather import Gathered, Measured, Run, machine_words
from jepa_vl.compare.statistics.resampling import Scores, resample
from jepa_vl.compare.statistics.scores import scores_of
from jepa_vl.compare.statistics.summary import (
    ArmSummary,
    Axis,
    Efficiency,
    Estimate,
    MetricSummary,
    Point,
    RunSummary,
    Summary,
)
from jepa_vl.tasks.base import Result, Unit

#: Beyond these no mean can be, though a widened interval may reach there.
LIMITS: Mapping[Unit, tuple[float, float]] = {
    "percent": (0.0, 1.0),
    "points": (0.0, math.inf),
    "rank": (1.0, math.inf),
}


def summarise(gathered: Gathered) -> Summary:
    """Return all numbers of a comparison."""
    plan = gathered.comparison
    known = {metric.name: row for metric in gathered.metrics if (row := _row(gathered, metric)) is not None}
    metrics = [metric for metric in gathered.metrics if metric.name in known]
    points = _points(gathered)
    means, differences, ratios, series = [], [], [], []
    for metric in metrics:
        better = known[metric.name].higher_is_better
        scores = [scores_of(gathered, metric, i) for i in range(len(plan.budgets))]
        for arm in plan.arms:
            for budget, at in zip(plan.budgets, scores, strict=True):
                if arm.name not in at:
                    continue
                means.append(_mean(arm.name, metric.name, budget, at[arm.name], known[metric.name].unit))
                other = at.get(plan.against(arm.name))
                if other is not None:
                    found = gap(arm.name, metric.name, budget, at[arm.name], other, better)
                    differences += [] if found is None else [found]
            if plan.against(arm.name):
                ratios += _ratios(gathered, arm, metric, scores, points, better)
        series += trends(plan, metric.name, scores[-1], better)
    return Summary(
        name=plan.name,
        reference=plan.reference,
        seeds=list(plan.seeds),
        budgets=list(plan.budgets),
        arms=[_arm(gathered, arm, plan.against(arm.name)) for arm in plan.arms],
        metrics=[_metric(metric, known[metric.name]) for metric in metrics],
        points=points,
        means=means,
        differences=differences,
        efficiencies=ratios,
        trends=series,
        runs=[_run(run) for run in gathered.runs],
        machines=gathered.machines,
        problems=list(gathered.problems),
    )


def _mean(arm: str, metric: str, budget: float, scores: Scores, unit: Unit) -> Estimate:
    values = dict(zip(scores.seeds, scores.values.tolist(), strict=True))
    found = estimate(arm, metric, budget, resample(scores), values)
    least, most = LIMITS.get(unit, (-math.inf, math.inf))
    if found.low is not None and found.high is not None:
        found.low, found.high = max(found.low, least), min(found.high, most)
    return found


def _ratios(
    gathered: Gathered,
    arm: Arm,
    metric: Metric,
    scores: list[dict[str, Scores]],
    points: list[Point],
    higher_is_better: bool,
) -> list[Efficiency]:
    plan = gathered.comparison
    other = plan.against(arm.name)
    at = {(point.arm, point.budget): point for point in points}

    def along(name: str, of: Callable[[Point], float]) -> list[float]:
        there = [at.get((name, budget)) for budget in plan.budgets]
        return [0.0 if point is None else of(point) for point in there]

    axes: Mapping[Axis, Callable[[Point], float]] = {
        "samples": lambda point: point.samples,
        "seconds": lambda point: point.seconds,
        "FLOPs": lambda point: point.flops,
    }
    return efficiencies(
        arm.name,
        metric,
        ours=[each.get(arm.name) for each in scores],
        reference=[each.get(other) for each in scores],
        cost={name: (along(arm.name, of), along(other, of)) for name, of in axes.items()},
        higher_is_better=higher_is_better,
    )


def _points(gathered: Gathered) -> list[Point]:
    points = []
    for arm in gathered.comparison.arms:
        flops = max((run.record.flops_per_sample for run in gathered.of(arm.name) if run.record), default=0.0)
        for i, budget in enumerate(gathered.comparison.budgets):
            there: list[Measured] = [at for run in gathered.of(arm.name) if (at := run.budgets[i])]
            if there:
                samples = float(np.mean([at.samples for at in there]))
                points.append(
                    Point(
                        arm=arm.name,
                        budget=budget,
                        samples=samples,
                        steps=float(np.mean([at.steps for at in there])),
                        seconds=float(np.mean([at.seconds for at in there])),
                        flops=samples * flops,
                    )
                )
    return points


def _row(gathered: Gathered, metric: Metric) -> Result | None:
    """Return a row of the metric, the latest there is."""
    rows = [
        at.rows[metric.name] for run in gathered.runs for at in run.budgets if at and metric.name in at.rows
    ]
    return rows[-1] if rows else None


def _metric(metric: Metric, row: Result) -> MetricSummary:
    return MetricSummary(
        name=metric.name,
        sample_set=metric.sample_set,
        task=metric.task,
        metric=metric.metric,
        group=metric.group,
        unit=row.unit,
        higher_is_better=row.higher_is_better,
        chance=row.chance,
        note=row.note,
    )


def _arm(gathered: Gathered, arm: Arm, against: str) -> ArmSummary:
    runs = gathered.of(arm.name)
    done = [run.record for run in runs if run.record and run.record.state == "finished"]
    known = done or [run.record for run in runs if run.record]
    return ArmSummary(
        name=arm.name,
        about=arm.about or arm.name,
        against=against,
        finished=[record.seed for record in done],
        paper=dict(arm.paper),
        parameters=known[0].parameters if known else {},
        flops_per_sample=known[0].flops_per_sample if known else 0.0,
        flops_vision=known[0].flops_vision if known else 0.0,
        seconds=float(np.mean([record.train_seconds for record in done])) if done else 0.0,
        peak_memory_mib=max((record.peak_memory_mib for record in known), default=0.0),
        samples=max((record.samples for record in known), default=0),
        epochs=max((record.epochs for record in known), default=0.0),
    )


def _run(run: Run) -> RunSummary:
    summary = RunSummary(arm=run.arm, seed=run.seed, state=run.state, message=run.message)
    if (record := run.record) is not None:
        summary = summary.model_copy(
            update={
                "steps": record.steps,
                "samples": record.samples,
                "epochs": record.epochs,
                "seconds": record.train_seconds,
                "peak_memory_mib": record.peak_memory_mib,
                "machine": machine_words(record.machine),
                "commit": record.commit,
                "date": record.date,
            }
        )
    return summary
