"""Runs a suite: each model on each benchmark, results kept as they come, finished ones not run again."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning import Trainer, seed_everything
from lightning.pytorch.cli import LightningArgumentParser

from jepa_vl.callbacks.defaults import progress_bar
from jepa_vl.callbacks.evaluation import EvaluationCallback
from jepa_vl.callbacks.throughput import Throughput
from jepa_vl.data.base import SampleData
from jepa_vl.errors import RecipeError, UserError
from jepa_vl.objectives.base import Objective
from jepa_vl.results import Outcomes, Results
from jepa_vl.suites.models import ModelSource
from jepa_vl.suites.suite import Benchmark, Suite
from jepa_vl.tasks.base import Task

log = logging.getLogger(__name__)

RESULTS, OUTCOMES, KEY = "results.json", "outcomes.json", "key.json"


@dataclass
class Measured:
    """One model on one benchmark.

    Attributes:
        model: Its name.
        benchmark: What it was run on.
        decoder: What says its texts, where it was given one.
        results: The rows of each sample set; None where it was not run.
        outcomes: What each sample scored.
        skipped: Why it was not run.
        cannot: Task → what the model lacks for it.
    """

    model: str
    benchmark: Benchmark
    decoder: str = ""
    results: Results | None = None
    outcomes: Outcomes = field(default_factory=Outcomes)
    skipped: str = ""
    cannot: dict[str, str] = field(default_factory=dict)


def run_suite(suite: Suite, models: Sequence[ModelSource], folder: Path) -> Iterator[Measured]:
    """Yield each model's results on each benchmark, from ``folder`` where they were finished before.

    A benchmark whose manifest is not there is skipped, as is one that fails for a reason that the user can
    mend: the others go on.

    Args:
        suite: What is run.
        models: The models, with names of their own.
        folder: Gets ``MODEL/BENCHMARK/results.json`` and ``outcomes.json``.

    Raises:
        RecipeError: Two models have one name.
        UserError: A model cannot be built.
    """
    names = [model.name for model in models]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RecipeError(f"two models are called '{twice}'; name them: --model NAME=PATH")
    for model in models:
        objective: Objective | None = None
        model_key = model.key
        for benchmark in suite.benchmarks:
            place = folder / model.name / benchmark.name
            if benchmark.missing:
                hint = f"; `{benchmark.make}` makes it" if benchmark.make else ""
                reason = f"{benchmark.missing[0]} is not there{hint}"
                yield Measured(model.name, benchmark, model.decoder, skipped=reason)
                continue
            key = {"model": model_key, "benchmark": benchmark.key}
            if not _finished(place, key):
                objective = objective or model.load()
                log.info("%s on %s", model.name, benchmark.name)
                try:
                    cannot = _evaluate(suite, objective, benchmark, place)
                except UserError as error:
                    log.warning("%s on %s: %s", model.name, benchmark.name, error)
                    yield Measured(model.name, benchmark, model.decoder, skipped=str(error))
                    continue
                (place / KEY).write_text(json.dumps(key | {"cannot": cannot}), encoding="utf-8")
            yield Measured(
                model.name,
                benchmark,
                model.decoder,
                results=Results.load(place / RESULTS),
                outcomes=Outcomes.load(place / OUTCOMES),
                cannot=json.loads((place / KEY).read_text(encoding="utf-8"))["cannot"],
            )


def _finished(place: Path, key: dict[str, str]) -> bool:
    """Whether these results are there; the key is written last."""
    try:
        written = json.loads((place / KEY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return all(written.get(name) == value for name, value in key.items()) and (place / RESULTS).exists()


def _evaluate(suite: Suite, objective: Objective, benchmark: Benchmark, place: Path) -> dict[str, str]:
    """Run the tasks of a benchmark; returns those that the model cannot do, and what it lacks."""
    seed_everything(suite.seed, workers=True, verbose=False)
    data, tasks = _build(benchmark)
    data.attach(objective)
    (place / KEY).unlink(missing_ok=True)
    able = [task for task in tasks if task.needs & objective.abilities]
    cannot = {task.name: " or ".join(sorted(task.needs)) for task in tasks if task not in able}
    evaluation = EvaluationCallback(tasks=able, data=data, run_dir=place)
    options = {"devices": 1, **suite.trainer, "logger": False, "enable_checkpointing": False}
    trainer = Trainer(
        **options,
        callbacks=[Throughput(), evaluation, progress_bar()],
        use_distributed_sampler=False,
        enable_model_summary=False,
    )
    trainer.test(objective, datamodule=data, verbose=False)
    return cannot


def _build(benchmark: Benchmark) -> tuple[SampleData, list[Task]]:
    parser = LightningArgumentParser(exit_on_error=False)
    parser.add_lightning_class_args(SampleData, "data", subclass_mode=True)
    parser.add_argument("--tasks", type=list[Task], default=[])
    values: dict[str, Any] = {"data": benchmark.data, "tasks": benchmark.tasks}
    built = parser.instantiate_classes(parser.parse_object(copy.deepcopy(values)))  # it changes its input
    return built.data, list(built.tasks)
