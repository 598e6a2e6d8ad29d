"""A trial of the tuning: training with one value up to a part of the budget, then ``val/score``."""

from __future__ import annotations

import logging
import math
import shutil
from pathlib import Path
from typing import Any, Literal

from lightning import Callback, LightningModule, Trainer
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jepa_vl.callbacks.evaluation import SCORE_KEY, EvaluationCallback
from jepa_vl.callbacks.finite_loss import DivergedError
from jepa_vl.callbacks.throughput import Throughput
from jepa_vl.compare.budgets import step_of
from jepa_vl.compare.runs.job import Job
from jepa_vl.compare.runs.parts import build_parts, evaluation_trainer, fit, run
from jepa_vl.errors import UserError
from jepa_vl.whole_file import write_whole

log = logging.getLogger(__name__)

FILE = "trial.json"


class TrialRecord(BaseModel):
    """What came out of a trial: ``trial.json`` in its folder.

    Attributes:
        arm: Name of the arm.
        value: Of the tuned key.
        key: Hash of everything it depends on.
        state: How it ended.
        score: ``val/score``; None where there is none.
        scores: Everything that was measured in validation.
        steps: Optimizer steps taken.
        train_seconds: Training time.
        message: Why it diverged or failed.
    """

    model_config = ConfigDict(extra="forbid")

    arm: str
    value: Any
    key: str
    state: Literal["finished", "diverged", "failed"]
    score: float | None = None
    scores: dict[str, float] = Field(default_factory=dict)
    steps: int = 0
    train_seconds: float = 0.0
    message: str = ""


class StopAt(Callback):
    """Ends training after a part of the steps, under the schedule of all of them.

    Args:
        budget: Fraction of the trainer's steps.
    """

    def __init__(self, budget: float) -> None:
        self.budget = budget

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the step."""
        if trainer.global_step >= step_of(self.budget, int(trainer.estimated_stepping_batches)):
            trainer.should_stop = True


def read_trial(job: Job, folder: Path | None = None) -> TrialRecord | None:
    """Return what came out of a trial, or None where it has not ended or was another one.

    Args:
        job: The trial.
        folder: Where to look; its own by default.
    """
    try:
        text = ((folder or job.folder) / FILE).read_text(encoding="utf-8")
        record = TrialRecord.model_validate_json(text)
    except (FileNotFoundError, ValidationError):
        return None
    return record if record.key == job.key else None


def write_trial(job: Job, record: TrialRecord) -> None:
    """Write ``trial.json``; a reader never sees half of it."""
    write_whole(job.folder / FILE, record.model_dump_json(indent=2) + "\n")


def run_trial(job: Job) -> TrialRecord:
    """Train, validate and write the record; only the record and the logs are kept.

    Raises:
        KeyboardInterrupt: It was stopped.
        UserError: There is nothing to validate on, or the recipe cannot be built.
    """
    done = read_trial(job)
    if done is not None and done.state != "failed":
        return done
    _begin(job)
    record = TrialRecord(arm=job.arm, value=job.trial, key=job.key, state="finished")
    parts, recipe = build_parts(job.values)
    validated = parts.trainer.get("limit_val_batches")
    parts.trainer |= {"limit_val_batches": 0, "num_sanity_val_steps": 0}  # validated once, at the end
    if not (parts.data.val_sets and parts.tasks):
        raise UserError("tuning chooses by val/score, and there is no validation set or no task")
    counts = Throughput()
    try:
        callbacks = [counts, StopAt(job.budgets[-1])]
        fit(parts, callbacks, folder=job.folder, name=job.name, recipe=recipe)
    except DivergedError as error:
        record.state, record.message = "diverged", str(error)
    record.steps, record.train_seconds = counts.steps, round(counts.seconds, 3)
    if record.state == "finished":
        able = [task for task in parts.tasks if task.needs & parts.objective.abilities]
        evaluation = EvaluationCallback(tasks=able, data=parts.data, run_dir=job.folder, show=False)
        # a recipe that turns validation off means that of the runs
        more = {"limit_val_batches": validated} if validated else {}
        trainer = evaluation_trainer(parts.trainer, [evaluation], **more)
        run(trainer, "validate", parts.objective, parts.data, verbose=False)
        numbers = {name: float(value) for name, value in trainer.callback_metrics.items()}
        record.scores = {name: round(value, 6) for name, value in numbers.items() if math.isfinite(value)}
        record.score = record.scores.get(SCORE_KEY)
    shutil.rmtree(job.folder / "checkpoints", ignore_errors=True)
    write_trial(job, record)
    log.info("val/score %s after %d steps", record.score, record.steps)
    return record


def _begin(job: Job) -> None:
    """Go on with the same trial; another recipe's is removed, which is nothing but a score."""
    text = Path(job.folder / "key").read_text(encoding="utf-8") if (job.folder / "key").exists() else ""
    if text != job.key:
        shutil.rmtree(job.folder, ignore_errors=True)
    job.save()
    (job.folder / "key").write_text(job.key, encoding="utf-8")
