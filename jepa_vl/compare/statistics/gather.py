"""`gather`: everything that the runs of a comparison measured, and what is not there or went wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jepa_vl.compare.budgets import step_of
from jepa_vl.compare.plan import Arm, Comparison, Metric
from jepa_vl.compare.records import RunRecord, budget_folder
from jepa_vl.compare.statistics.headlines import headlines
from jepa_vl.errors import UserError, did_you_mean
from jepa_vl.results import Outcomes, Results
from jepa_vl.tasks.base import Result

BY_DECODER = " (decoder)"
DECODED = f"captions, CIDEr{BY_DECODER}"
_CAPTIONS = ("captioning", "CIDEr")
_SAME = 1e-4  # a row that is the mean of its outcomes, up to single precision


@dataclass(frozen=True)
class Measured:
    """A run at one budget.

    Attributes:
        samples: Training samples seen.
        steps: Optimizer steps taken.
        seconds: Training time.
        rows: The row of each metric that the run has, by the metric's name.
        outcomes: Metric → sample id → value, where the row is the mean of these.
    """

    samples: int
    steps: int
    seconds: float
    rows: dict[str, Result] = field(default_factory=dict)
    outcomes: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One arm with one seed.

    Attributes:
        arm: Name of the arm.
        seed: Its seed.
        folder: Where it is, or would be.
        record: None where it was never started.
        budgets: One for each of the comparison's; None where it was not evaluated.
        problems: Files that could not be read.
    """

    arm: str
    seed: int
    folder: Path
    record: RunRecord | None
    budgets: tuple[Measured | None, ...]
    problems: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """That of its record, or ``missing``."""
        return "missing" if self.record is None else self.record.state

    @property
    def message(self) -> str:
        """Why it is not finished, and what could not be read."""
        own = "" if self.record is None else self.record.message
        return "; ".join(filter(None, (own, *self.problems)))


@dataclass(frozen=True)
class Gathered:
    """What a comparison's folder holds.

    Attributes:
        comparison: The plan.
        folder: Its folder.
        metrics: Those compared.
        runs: Of every arm with every seed, also those that are not there.
        episodes: Sample set → sample id → episode.
        problems: Metrics that nothing was found of.
    """

    comparison: Comparison
    folder: Path
    metrics: tuple[Metric, ...]
    runs: tuple[Run, ...]
    episodes: dict[str, dict[str, str]]
    problems: tuple[str, ...]

    def of(self, arm: str) -> list[Run]:
        """Return the runs of an arm, by seed."""
        return [run for run in self.runs if run.arm == arm]

    @property
    def unfinished(self) -> list[Run]:
        """Runs that are missing, failed, diverged, or not at their end."""
        return [run for run in self.runs if run.state != "finished"]

    @property
    def machines(self) -> list[str]:
        """The machines that trained, each once, as words; more than one means mixed hardware."""
        return list(dict.fromkeys(machine_words(r.record.machine) for r in self.runs if r.record))


def machine_words(machine: Mapping[str, Any]) -> str:
    """Name a machine by its GPUs, or its processor where it has none."""
    gpus = machine.get("gpus")
    if gpus:
        return ", ".join(gpus)
    return f"{machine.get('cpu') or 'unknown processor'}, {machine.get('cores', '?')} cores"


def gather(comparison: Comparison, folder: Path) -> Gathered:
    """Read every run's record, results and outcomes.

    Args:
        comparison: Which arms, seeds and budgets there should be.
        folder: See `jepa_vl.compare.records.comparison_folder`.
    """
    read = [_Reader(comparison, arm, seed, folder) for arm in comparison.arms for seed in comparison.seeds]
    metrics = comparison.metrics or headlines(_last_rows(comparison, read))
    sets = next((list(reader.decoder[0].sets) for reader in read if reader.decoder), [])
    known = [metric.name for metric in metrics]
    decoded = [_decoded(name, first=i == 0) for i, name in enumerate(sets)]
    metrics = (*metrics, *(metric for metric in decoded if metric.name not in known))
    runs = tuple(reader.run(metrics) for reader in read)
    episodes: dict[str, dict[str, str]] = {}
    for reader in read:
        for pair in reader.pairs:
            for name, scored in pair[1].sets.items() if pair and pair[1] else ():
                episodes.setdefault(name, {}).update(scored.episodes)
    return Gathered(comparison, folder, metrics, runs, episodes, tuple(_absent(metrics, runs, read)))


def _decoded(sample_set: str, *, first: bool) -> Metric:
    """Return a test set's captions by an arm's decoder, beside which an arm that generates has its own."""
    name = DECODED if first else f"captions, CIDEr, {sample_set}{BY_DECODER}"
    return Metric(name, sample_set, *_CAPTIONS)


Pair = tuple[Results, Outcomes | None]


class _Reader:
    """The files of one run."""

    def __init__(self, comparison: Comparison, arm: Arm, seed: int, folder: Path) -> None:
        self.arm, self.seed = arm.name, seed
        self.folder = folder / arm.name / f"seed-{seed}"
        self.problems: list[str] = []
        self.record = self._record()
        steps = _max_steps(arm) or (self.record.steps if self.record else 0)
        places = [budget_folder(self.folder, step_of(part, steps)) for part in comparison.budgets]
        self.pairs = [self._pair(place) for place in places]
        self.decoder = self._pair(self.folder / "decoder")

    def _record(self) -> RunRecord | None:
        path = self.folder / "run.json"
        try:
            return RunRecord.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValidationError as error:
            self.problems.append(f"{path}: not a run's record: {error.errors()[0]['msg']}")
            return None

    def _pair(self, folder: Path) -> Pair | None:
        if not (folder / "results.json").exists():
            return None
        try:
            outcomes = folder / "outcomes.json"
            return Results.load(folder / "results.json"), Outcomes.load(
                outcomes
            ) if outcomes.exists() else None
        except UserError as error:
            self.problems.append(str(error))
            return None

    def run(self, metrics: tuple[Metric, ...]) -> Run:
        of_captions = tuple(m for m in metrics if m.name.endswith(BY_DECODER))
        others = tuple(m for m in metrics if not m.name.endswith(BY_DECODER))
        budgets = [_measured(pair, others) for pair in self.pairs]
        last, full = budgets[-1], self.pairs[-1]
        # an arm that says captions itself stands beside those that need a decoder, which has but one budget
        if last is not None and full is not None:
            said = _measured(self.decoder or full, of_captions)
            if said is not None:
                last.rows.update(said.rows)
                last.outcomes.update(said.outcomes)
        return Run(self.arm, self.seed, self.folder, self.record, tuple(budgets), tuple(self.problems))


def _max_steps(arm: Arm) -> int:
    steps = (arm.values.get("trainer") or {}).get("max_steps")
    return steps if isinstance(steps, int) and steps > 0 else 0


def _measured(pair: Pair | None, metrics: tuple[Metric, ...]) -> Measured | None:
    if pair is None:
        return None
    results, outcomes = pair
    info = results.run
    found = Measured(info.samples_seen, info.steps, info.train_seconds)
    for metric in metrics:
        try:
            row = results.find(metric.sample_set, metric.task, metric.metric, group=metric.group)
        except KeyError:
            continue
        found.rows[metric.name] = row
        scored = outcomes.sets.get(metric.sample_set) if outcomes else None
        key = metric.metric if metric.group == "all" else f"{metric.group}/{metric.metric}"
        each = scored.tasks.get(metric.task, {}).get(key) if scored else None
        if each and abs(sum(each.values()) / len(each) - row.value) <= _SAME * max(1.0, abs(row.value)):
            found.outcomes[metric.name] = each
    return found


def _last_rows(comparison: Comparison, read: list[_Reader]) -> list[dict[str, list[Result]]]:
    """The rows of each arm, of its first run that has any."""
    found = []
    for arm in comparison.arms:
        pairs = [pair for r in read if r.arm == arm.name for pair in reversed(r.pairs) if pair]
        found.append(pairs[0][0].sets if pairs else {})
    return found


def _absent(metrics: tuple[Metric, ...], runs: tuple[Run, ...], read: list[_Reader]) -> list[str]:
    """Say which metrics no run has, and what is near."""
    known = {
        f"{name} {row.task} {row.metric}" + ("" if row.group == "all" else f" | {row.group}")
        for reader in read
        for pair in reader.pairs
        if pair
        for name, rows in pair[0].sets.items()
        for row in rows
    }
    there = {name for run in runs for at in run.budgets if at for name in at.rows}
    problems = []
    for metric in metrics:
        if known and metric.name not in there:
            wanted = f"{metric.sample_set} {metric.task} {metric.metric}"
            wanted += "" if metric.group == "all" else f" | {metric.group}"
            problems.append(f"{metric.name}: no run has '{wanted}'; {did_you_mean(wanted, known)}")
    return problems


def examples_of(run: Run, step: int) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return ``examples.json`` of a run after ``step`` steps: sample set → task → examples."""
    try:
        text = (budget_folder(run.folder, step) / "examples.json").read_text(encoding="utf-8")
        found = json.loads(text)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
