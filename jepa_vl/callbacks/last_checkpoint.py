"""`last.ckpt`: where a run that was stopped, by Ctrl-C or an error, goes on from."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import SIGTERMException

from jepa_vl.callbacks import slurm
from jepa_vl.callbacks.finite_loss import DivergedError

log = logging.getLogger(__name__)


class LastCheckpoint(Checkpoint):
    """Saves after every validation and epoch, at the end, and when a run is stopped.

    Ctrl-C takes effect between two training steps (or after a validation that is under way), where the
    checkpoint is exact: a run that goes on from it equals one that was never stopped. A second Ctrl-C stops
    at once. SIGTERM does the same. Of several processes all stop at the same step. A job whose time is nearly
    up, as Slurm tells it by SIGUSR1, stops so too and has itself started again. Where passes are
    accumulated, all of this waits for the end of the optimizer step: the gradients before it are in no
    checkpoint.

    Args:
        path: The file; it is replaced each time.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._saved_at = -1
        self._due = self._training = False
        self._asked_to_stop = False
        self._again = False
        self._handlers: dict[signal.Signals, Any] = {}

    # -- when to save

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that there is something to save: before, a checkpoint that is resumed is not loaded whole.

        Lightning's handler of SIGTERM is there by now. It speaks to the other processes from wherever a step
        is, and they may wait for each other for ever.
        """
        self._training = True
        self._take_over(signal.SIGTERM)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save after the validation of a fit, then stop if asked to."""
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        if _accumulates(trainer):
            self._due = True
            return
        self._save(trainer)
        self._stop_if_asked(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save, unless the validation at the end of the epoch did."""
        self._save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save, unless the last epoch or validation did."""
        self._save(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save what a validation left due, and stop if asked to, between two steps."""
        if _accumulates(trainer):
            return
        if self._due:
            self._save(trainer)
            self._due, self._saved_at = False, -1  # a validation may follow, and has more to say
        self._stop_if_asked(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save what there is, if training had begun."""
        together = self._asked_to_stop or isinstance(exception, SIGTERMException | DivergedError)
        self._restore_handlers()
        if not self._training or trainer.sanity_checking or trainer.global_step == 0:
            return
        if trainer.world_size > 1 and not together:
            return  # saving waits for every process, and the others may not have failed
        try:
            self._save(trainer)
        except OSError as error:  # the disk is full, say; the first error is the one to show
            log.warning("could not save %s: %s", self.path, error)
        if self._again and trainer.is_global_zero:
            slurm.requeue()

    def _save(self, trainer: Trainer) -> None:
        if self._saved_at == trainer.global_step or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        trainer.save_checkpoint(self.path)
        self._saved_at = trainer.global_step

    # -- Ctrl-C, and a job's end

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over the signals. (Lightning saves within the one of Slurm, wherever a step is then.)"""
        self._asked_to_stop = self._again = self._due = self._training = False
        self._saved_at = -1
        self._take_over(signal.SIGINT, *((slurm.NEARLY_UP,) if slurm.in_job() else ()))

    def _take_over(self, *numbers: signal.Signals) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in numbers:
                self._handlers[number] = signal.signal(number, self._interrupted)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the signals back."""
        self._training = False
        self._restore_handlers()

    def _interrupted(self, signum: int, frame: FrameType | None) -> None:
        self._asked_to_stop = True
        if signum == slurm.NEARLY_UP:
            self._again = True
            log.warning("the job's time is nearly up: stopping after this step, with a checkpoint")
            return
        if signum == signal.SIGTERM:
            log.warning("stopping after this step, with a checkpoint")
            return
        signal.signal(signal.SIGINT, self._handlers.pop(signal.SIGINT))
        log.warning("stopping after this step, with a checkpoint; press Ctrl-C again to stop at once")

    def _restore_handlers(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def _stop_if_asked(self, trainer: Trainer) -> None:
        asked = self._asked_to_stop
        if trainer.world_size > 1:
            asked = trainer.strategy.reduce_boolean_decision(asked, all=False)
        if asked:  # else it stays as it is: a signal may have come while the processes spoke to each other
            self._asked_to_stop = True
            raise KeyboardInterrupt


def _accumulates(trainer: Trainer) -> bool:
    """Whether the optimizer step of the last batch is still to come."""
    return trainer.fit_loop._should_accumulate()
