"""Progress for logs and pipes: a plain line now and then instead of a bar that redraws itself."""

from __future__ import annotations

import time
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console


class ProgressLines(ProgressBar):
    """Writes a line for the first and the last batch of a stage, and every ``seconds`` between them.

    Args:
        seconds: Time between two lines.
    """

    def __init__(self, *, seconds: float = 10.0) -> None:
        super().__init__()
        self.seconds = seconds
        self._enabled = True
        self._console = Console(soft_wrap=True, highlight=False, markup=False)
        self._next = 0.0
        self._began = 0.0
        self._first_step = 0

    def disable(self) -> None:
        """Write nothing."""
        self._enabled = False

    def enable(self) -> None:
        """Write again."""
        self._enabled = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Write a line of someone else's."""
        if self._enabled:
            self._console.print(*args)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to measure."""
        self._began = time.monotonic()
        self._first_step = trainer.global_step
        self._next = 0.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write the step, the metrics of the progress bar and the time left."""
        total = trainer.estimated_stepping_batches
        if not self._due() and trainer.global_step != total:
            return
        shown = {k: v for k, v in self.get_metrics(trainer, pl_module).items() if k != "v_num"}
        metrics = "".join(f" · {key} {_short(value)}" for key, value in shown.items())
        done, spent = trainer.global_step - self._first_step, time.monotonic() - self._began
        left = f" · {_clock(spent / done * (total - trainer.global_step))} left" if done and total > 0 else ""
        self.print(f"step {trainer.global_step}/{total}{metrics}{left}")

    def on_validation_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Write how far a long validation is."""
        self._evaluated("validation", *args, **kwargs)

    def on_test_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Write how far a test is."""
        self._evaluated("test", *args, **kwargs)

    def _evaluated(
        self,
        stage: str,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if trainer.sanity_checking or not self._due():
            return
        sizes = trainer.num_test_batches if stage == "test" else trainer.num_val_batches
        self.print(
            f"{stage} set {dataloader_idx + 1}/{len(sizes)}, batch {batch_idx + 1}/{sizes[dataloader_idx]}"
        )

    def _due(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self.seconds
        return True


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes}:{seconds:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
