"""How fast training goes, what share of it waits for data, and how many samples the model has seen."""

from __future__ import annotations

import time
from typing import Any

from lightning import Callback, LightningModule, Trainer


class Throughput(Callback):
    """Counts samples, steps and training time over resumed runs; logs the speed at log steps.

    Logged: ``train/samples_per_second`` over all processes and ``train/data_wait``, the share of the time
    between two steps' ends in which the next batch was not there yet. The time of validation is not counted.

    Attributes:
        samples: Training samples seen, over all processes; part of every checkpoint.
        steps: Optimizer steps taken; part of every checkpoint.
        seconds: Training time; part of every checkpoint.
    """

    def __init__(self) -> None:
        self.samples = 0
        self.steps = 0
        self.seconds = 0.0
        self._last_end: float | None = None
        self._started = 0.0
        self._window = [0, 0.0, 0.0]  # samples, seconds, seconds of waiting since the last log

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        self._pause()
        self._window = [0, 0.0, 0.0]

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave validation out."""
        self._pause()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave out what callbacks do between epochs."""
        self._pause()

    def _pause(self) -> None:
        self._last_end = None

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note when the batch was there."""
        self._started = time.perf_counter()
        if self._last_end is not None:
            self._window[2] += self._started - self._last_end

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch, and log at log steps."""
        now = time.perf_counter()
        spent = now - (self._started if self._last_end is None else self._last_end)
        self._last_end = now
        seen = len(batch) * trainer.world_size
        self.samples += seen
        self.seconds += spent
        self.steps = trainer.global_step
        self._window[0] += seen
        self._window[1] += spent
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and trainer.global_step % every == 0:
            samples, seconds, wait = self._window
            speed = samples / max(seconds, 1e-9)
            pl_module.log("train/samples_per_second", speed, prog_bar=True, rank_zero_only=True)
            pl_module.log("train/data_wait", wait / max(seconds, 1e-9), rank_zero_only=True)
            self._window = [0, 0.0, 0.0]

    def state_dict(self) -> dict[str, Any]:
        """Return the counts, for the checkpoint."""
        return {"samples": self.samples, "steps": self.steps, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting where the checkpoint was saved."""
        self.samples, self.steps = int(state_dict["samples"]), int(state_dict["steps"])
        self.seconds = float(state_dict["seconds"])
