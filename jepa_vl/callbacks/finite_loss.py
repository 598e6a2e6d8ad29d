"""What happens when the loss of a training step is no number: the run ends, or the step is left out."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from jepa_vl.errors import UserError

log = logging.getLogger(__name__)

FILE = "nonfinite.jsonl"
SHOWN = 8  # ids in a message


class DivergedError(UserError):
    """The loss of a training step is infinite or no number.

    Args:
        loss: Its value.
        step: Optimizer steps taken.
        ids: Of the samples in the batches that it was computed from.
        file: Where they are written.
    """

    def __init__(self, loss: float, step: int, ids: list[str], file: Path) -> None:
        super().__init__(f"the loss is {loss} after {step} steps; {_samples(ids)}, all of them in {file}")
        self.step = step


class FiniteLoss(Callback):
    """Looks at every loss before its optimizer step, on all processes; the weights stay as they are.

    It looks after the backward pass: by then all of that is in a GPU's queue, which a look before would have
    run empty.

    The batch's sample ids are written to ``nonfinite.jsonl`` in the run's folder, a line a batch.

    Args:
        action: ``stop`` ends the run with `DivergedError`; ``skip`` leaves the optimizer step out, as if it
            had not been, and goes on: the schedule and the number of steps go on too.
    """

    def __init__(self, *, action: Literal["stop", "skip"] = "stop") -> None:
        self.action = action
        self._batch: Any = None
        self._loss: Tensor | None = None
        self._bad = False

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Remember whose loss it will be."""
        self._batch = batch

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Remember the loss."""
        self._loss = loss.detach()

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the loss.

        Raises:
            DivergedError: It is not finite, and that ends the run.
        """
        loss = self._loss
        assert loss is not None
        mine = not bool(torch.isfinite(loss))
        if not _any_process(trainer, mine):
            return
        ids = _gathered([sample.id for sample in self._batch.samples] if mine else [])
        file = Path(trainer.default_root_dir) / FILE
        value = float(loss) * trainer.accumulate_grad_batches
        if trainer.is_global_zero:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"step": trainer.global_step, "loss": str(value), "ids": ids}) + "\n")
        if self.action == "stop":
            raise DivergedError(value, trainer.global_step, ids, file)
        self._bad = True
        if trainer.is_global_zero:
            log.warning("step %d is left out: the loss is %s; %s", trainer.global_step, value, _samples(ids))

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Leave the step out: without gradients, an optimizer changes nothing."""
        if self._bad:
            optimizer.zero_grad(set_to_none=True)
            self._bad = False


def _any_process(trainer: Trainer, mine: bool) -> bool:
    return mine if trainer.world_size == 1 else trainer.strategy.reduce_boolean_decision(mine, all=False)


def _gathered(ids: list[str]) -> list[str]:
    if not (dist.is_available() and dist.is_initialized()):
        return ids
    every: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(every, ids)
    return [sample for each in every for sample in each]


def _samples(ids: list[str]) -> str:
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return f"its batch has the samples {', '.join(ids[:SHOWN])}{more}"
