"""All tasks of a run, on every test set, with the weights that it had at some step."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import seed_everything

from jepa_vl.callbacks.evaluation import EvaluationCallback
from jepa_vl.callbacks.throughput import Throughput
from jepa_vl.cli.build import Parts
from jepa_vl.compare.records import budget_folder
from jepa_vl.compare.runs.job import Job
from jepa_vl.compare.runs.milestones import milestones
from jepa_vl.compare.runs.parts import evaluation_trainer, run
from jepa_vl.data.base import SampleData
from jepa_vl.errors import UserError
from jepa_vl.objectives.base import Objective
from jepa_vl.results import Results, quantity
from jepa_vl.tasks.base import Example, Task

log = logging.getLogger(__name__)

RESULTS, EXAMPLES = "results.json", "examples.json"
SHOWN = 12  # examples of a task


def evaluate_milestones(job: Job, parts: Parts, *, diverged: bool) -> None:
    """Evaluate every milestone that training has left, and remove it once that is done.

    Args:
        job: The run.
        parts: What was trained.
        diverged: Whether its loss became no number; weights of just before may give no numbers either, and
            such a milestone is left out with a message.

    Raises:
        KeyboardInterrupt: It was stopped; those that are left are evaluated by the next call.
        UserError: The weights of a run that did not diverge cannot be evaluated.
    """
    for step, path in milestones(job.folder / "checkpoints"):
        content = torch.load(path, map_location="cpu", weights_only=True)
        parts.objective.load_state_dict(content["state_dict"])
        place = budget_folder(job.folder, step)
        try:
            evaluate(
                parts.objective, parts.data, parts.tasks, job=job, options=parts.trainer, place=place,
                counts=content["counts"],
            )  # fmt: skip
        except UserError as error:
            if not diverged:
                raise
            log.warning("step %d of a run that diverged gives no numbers and is left out: %s", step, error)
            shutil.rmtree(place, ignore_errors=True)
            path.unlink()
            continue
        path.unlink()
        log.info("step %d evaluated · %s", step, headlines(place / RESULTS))


def evaluate(
    objective: Objective,
    data: SampleData,
    tasks: Sequence[Task],
    *,
    job: Job,
    options: dict[str, Any],
    place: Path,
    counts: Mapping[str, Any],
) -> None:
    """Write ``results.json``, ``outcomes.json`` and ``examples.json``.

    Args:
        objective: With the weights that are evaluated.
        data: Its data.
        tasks: Those that the objective has no ability for are left out.
        job: The run.
        options: Of the recipe's trainer.
        place: Folder of the files.
        counts: `Throughput`'s state: samples, steps and seconds so far.

    Raises:
        KeyboardInterrupt: It was stopped.
    """
    seed_everything(job.seed, workers=True, verbose=False)
    throughput = Throughput()
    throughput.load_state_dict(dict(counts))
    able = [task for task in tasks if task.needs & objective.abilities]
    evaluation = EvaluationCallback(tasks=able, data=data, run_dir=place, show=False)
    trainer = evaluation_trainer(options, [throughput, evaluation])
    run(trainer, "test", objective, data, verbose=False)
    if not trainer.is_global_zero:
        return
    written = Results.load(place / RESULTS)
    written.run.name, written.run.command = job.name, job.command
    written.save(place / RESULTS)
    rows = {
        name: {task: [_row(example) for example in found] for task, found in by_task.items() if found}
        for name, by_task in evaluation.examples(SHOWN).items()
    }
    (place / EXAMPLES).write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def headlines(path: Path) -> str:
    """Say the first number of each task, set by set."""
    said = []
    for name, rows in Results.load(path).sets.items():
        first = {row.task: row for row in reversed(rows)}
        said += [f"{name} {row.task} {quantity(row.value, row.unit)}" for row in first.values()]
    return " · ".join(said)


def _row(example: Example) -> dict[str, Any]:
    return {
        "id": example.sample.id,
        "query": example.sample.query,
        "expected": example.expected,
        "predicted": example.predicted,
        "score": example.score,
    }
