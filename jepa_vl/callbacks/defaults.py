"""The callbacks of every run."""

from __future__ import annotations

import sys
from pathlib import Path

from lightning import Callback
from lightning.pytorch.callbacks import (
    LearningRateMonitor,
    ModelCheckpoint,
    ProgressBar,
    TQDMProgressBar,
)

from jepa_vl.callbacks.evaluation import SCORE_KEY, EvaluationCallback
from jepa_vl.callbacks.finite_loss import FiniteLoss
from jepa_vl.callbacks.last_checkpoint import LastCheckpoint
from jepa_vl.callbacks.progress_lines import ProgressLines
from jepa_vl.callbacks.random_state import RandomState
from jepa_vl.callbacks.throughput import Throughput
from jepa_vl.data.base import SampleData
from jepa_vl.tasks.base import Task

CHECKPOINTS, BEST, LAST = "checkpoints", "best.ckpt", "last.ckpt"


def progress_bar() -> ProgressBar:
    """Return a bar for a terminal, and a line every ten seconds elsewhere."""
    return TQDMProgressBar(leave=True) if sys.stdout.isatty() else ProgressLines()


def default_callbacks(*, run_dir: Path, tasks: list[Task], data: SampleData) -> list[Callback]:
    """Return the callbacks of a run whose files lie in ``run_dir``.

    ``checkpoints/last.ckpt`` is always kept, ``checkpoints/best.ckpt`` by ``val/score`` where there are
    tasks and validation sets. On a terminal there is a bar, elsewhere a line every ten seconds.
    """
    folder = Path(run_dir) / CHECKPOINTS
    found: list[Callback] = [
        FiniteLoss(),
        Throughput(),
        RandomState(),
        EvaluationCallback(tasks=tasks, data=data, run_dir=run_dir),
        LearningRateMonitor(logging_interval="step"),
        progress_bar(),
    ]
    if tasks and data.val_sets:
        found.append(
            ModelCheckpoint(
                dirpath=folder,
                filename=Path(BEST).stem,
                monitor=SCORE_KEY,
                mode="max",
                save_on_train_epoch_end=False,
                enable_version_counter=False,
            )
        )
    return [*found, LastCheckpoint(folder / LAST)]
