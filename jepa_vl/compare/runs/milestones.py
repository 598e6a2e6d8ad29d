"""Keeps the weights as they are when a part of the budget is used up, to be evaluated after training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from jepa_vl.callbacks.throughput import Throughput
from jepa_vl.compare.budgets import step_of


class Milestones(Checkpoint):
    """Saves ``step-000123.ckpt`` with the weights and `Throughput`'s counts, and ``last.ckpt`` beside it.

    A `Checkpoint` so that it comes after the callbacks that count.

    Args:
        folder: Of the checkpoints.
        budgets: Fractions of the trainer's steps.
    """

    def __init__(self, *, folder: Path, budgets: Sequence[float]) -> None:
        self.folder = Path(folder)
        self.budgets = tuple(budgets)
        self._steps: set[int] = set()
        self._at = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Learn how many steps there are."""
        total = int(trainer.estimated_stepping_batches)
        self._steps = {step_of(fraction, total) for fraction in self.budgets}
        self._at = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save at a milestone, once: with accumulated gradients several batches end at one step."""
        before, self._at = self._at, trainer.global_step
        if self._at == before or self._at not in self._steps:
            return
        path = milestone(self.folder, self._at)
        counts = next(c for c in trainer.callbacks if isinstance(c, Throughput))  # type: ignore[attr-defined]
        weights = trainer.strategy.lightning_module_state_dict()
        if trainer.is_global_zero:
            part = path.with_suffix(".part")
            part.parent.mkdir(parents=True, exist_ok=True)
            torch.save({"state_dict": weights, "counts": counts.state_dict()}, part)
            part.replace(path)  # one that is there is whole
        trainer.save_checkpoint(self.folder / "last.ckpt")


def milestone(folder: Path, step: int) -> Path:
    """Where the weights after ``step`` steps are, in the folder of checkpoints."""
    return folder / f"step-{step:06d}.ckpt"


def milestones(folder: Path) -> list[tuple[int, Path]]:
    """Return the milestones that are there, by step."""
    return sorted((int(path.stem.removeprefix("step-")), path) for path in folder.glob("step-*.ckpt"))
