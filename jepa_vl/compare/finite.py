"""Ends a run whose loss is no number any more."""

from __future__ import annotations

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer


class DivergedError(Exception):
    """The loss of a training step is infinite or no number.

    Args:
        loss: Its value.
        step: Optimizer steps taken.
    """

    def __init__(self, loss: float, step: int) -> None:
        super().__init__(f"the loss is {loss} after {step} steps")
        self.step = step


class FiniteLoss(Callback):
    """Raises `DivergedError` after the step whose loss is not finite, on all processes."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss."""
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        if loss is None:
            return
        bad = not bool(torch.isfinite(loss))
        if trainer.world_size > 1:
            bad = trainer.strategy.reduce_boolean_decision(bad, all=False)
        if bad:
            raise DivergedError(float(loss), trainer.global_step)
