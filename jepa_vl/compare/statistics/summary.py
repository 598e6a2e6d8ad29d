"""`Summary`: all numbers of a comparison, to and from ``summary.json``; tables and figures are made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from jepa_vl.compare.statistics.resampling import Over
from jepa_vl.tasks.base import Unit
from jepa_vl.whole_file import write_whole

Verdict = Literal["better", "worse", "cannot be told"]
Axis = Literal["samples", "seconds", "FLOPs"]
QualityOf = Literal["reference", "arm"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ArmSummary(_Record):
    """One arm.

    Attributes:
        name: Its name.
        about: A few words.
        against: Name of the arm that it is compared with; empty for one that others are compared with.
        finished: Seeds whose runs are finished.
        paper: What the paper reports, as it prints it.
        parameters: Part → {"trained": n, "frozen": n}.
        flops_per_sample: Of a training step, a sample, without a frozen encoder.
        flops_vision: Of the frozen encoder, once a sample.
        seconds: Mean training time of the finished runs.
        peak_memory_mib: Most of any of them.
        samples: Training samples seen in a whole run.
        epochs: Passes through the training samples in a whole run.
    """

    name: str
    about: str
    against: str
    finished: list[int]
    paper: dict[str, float] = Field(default_factory=dict)
    parameters: dict[str, dict[str, int]] = Field(default_factory=dict)
    flops_per_sample: float = 0.0
    flops_vision: float = 0.0
    seconds: float = 0.0
    peak_memory_mib: float = 0.0
    samples: int = 0
    epochs: float = 0.0


class MetricSummary(_Record):
    """What is compared: see `jepa_vl.compare.plan.Metric` and `jepa_vl.tasks.base.Result`."""

    name: str
    sample_set: str
    task: str
    metric: str
    group: str
    unit: Unit
    higher_is_better: bool
    chance: float | None
    note: str


class Estimate(_Record):
    """A mean over seeds, or a difference of two, at one budget.

    Attributes:
        arm: Name of the arm.
        metric: Name of the metric.
        budget: Fraction of the arm's steps.
        value: The mean; for a difference, the arm minus the arm that it is compared with.
        low: Lower end of the 95 % interval; None where there is none.
        high: Upper end.
        over: What the interval speaks of.
        values: Seed → what its run scored, or the difference of the two runs with this seed.
        n_episodes: Episodes that could be drawn; 0 where the metric has no outcomes.
        verdict: Of a difference: ``cannot be told`` where the interval holds 0, or where there is none.
    """

    arm: str
    metric: str
    budget: float
    value: float
    low: float | None
    high: float | None
    over: Over
    values: dict[int, float]
    n_episodes: int
    verdict: Verdict | None = None


class Point(_Record):
    """What an arm had cost at a budget, means over its seeds."""

    arm: str
    budget: float
    samples: float
    steps: float
    seconds: float
    flops: float


class Efficiency(_Record):
    """How many times less an arm needs than the reference for the same quality.

    Attributes:
        arm: Name of the arm.
        metric: Name of the metric.
        quality_of: Whose quality at the full budget is to be reached.
        quality: Its value.
        axis: What is needed.
        reference_needs: None where the reference never comes there.
        arm_needs: None where the arm never comes there.
        first_budget: Who is there at the first budget already, and may need less than that.
        ratio: Reference's need / arm's; 0 where the arm does not come there, infinite where the reference
            does not.
        low: Lower end of the 95 % interval; None where there is none. 0 where the arm may not come there,
            or the reference may need next to nothing, being there at its first budget.
        high: Upper end; infinite likewise.
        over: What the interval speaks of.
        seeds: Number of seeds.
    """

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="strings")

    arm: str
    metric: str
    quality_of: QualityOf
    quality: float
    axis: Axis
    reference_needs: float | None
    arm_needs: float | None
    first_budget: list[QualityOf]
    ratio: float
    low: float | None
    high: float | None
    over: Over
    seeds: int


class Trend(_Record):
    """One step of a series: how its gap differs from that of the first step, at the full budget.

    Attributes:
        series: Name of the series.
        metric: Name of the metric.
        arm: Name of the arm, whose gap is its difference to the arm that it is compared with.
        gap: That difference.
        change: This gap minus that of the first step; None for the first step, and where no seed is common.
    """

    series: str
    metric: str
    arm: str
    gap: Estimate
    change: Estimate | None


class RunSummary(_Record):
    """One run, as it is."""

    arm: str
    seed: int
    state: str
    message: str
    steps: int = 0
    samples: int = 0
    epochs: float = 0.0
    seconds: float = 0.0
    peak_memory_mib: float = 0.0
    machine: str = ""
    commit: str | None = None
    date: str = ""


class Summary(_Record):
    """Everything that a comparison found.

    Attributes:
        name: Of the comparison.
        reference: Name of the arm that the others are compared with.
        seeds: Planned.
        budgets: Planned.
        arms: In order.
        metrics: In order.
        points: What each arm had cost at each budget.
        means: By arm, metric and budget.
        differences: Of each arm to the one that it is compared with, likewise.
        efficiencies: Of each arm, likewise.
        trends: Of each series, step by step.
        runs: All, also those that are missing.
        machines: That trained.
        problems: What was not found.
    """

    name: str
    reference: str
    seeds: list[int]
    budgets: list[float]
    arms: list[ArmSummary]
    metrics: list[MetricSummary]
    points: list[Point]
    means: list[Estimate]
    differences: list[Estimate]
    efficiencies: list[Efficiency]
    trends: list[Trend]
    runs: list[RunSummary]
    machines: list[str]
    problems: list[str]

    def arm(self, name: str) -> ArmSummary:
        """Return an arm by its name."""
        return next(arm for arm in self.arms if arm.name == name)

    @property
    def begun(self) -> list[ArmSummary]:
        """Arms of which a run has begun; all of them where none has."""
        there = {run.arm for run in self.runs if run.state != "missing"}
        return [arm for arm in self.arms if arm.name in there] or self.arms

    def point(self, arm: str, budget: float) -> Point | None:
        """Return what an arm had cost at a budget."""
        return next((p for p in self.points if (p.arm, p.budget) == (arm, budget)), None)

    def mean(self, arm: str, metric: str, budget: float = 1.0) -> Estimate | None:
        """Return one mean."""
        return _find(self.means, arm, metric, budget)

    def difference(self, arm: str, metric: str, budget: float = 1.0) -> Estimate | None:
        """Return the difference of an arm to the one that it is compared with."""
        return _find(self.differences, arm, metric, budget)

    def save(self, path: Path) -> None:
        """Write JSON; a reader never sees half of it."""
        write_whole(path, self.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Summary:
        """Read what `save` wrote."""
        return cls.model_validate_json(path.read_text(encoding="utf-8"))


def _find(among: list[Estimate], arm: str, metric: str, budget: float) -> Estimate | None:
    return next((e for e in among if (e.arm, e.metric, e.budget) == (arm, metric, budget)), None)
