"""Checkpoints are written beside their place, and get their name when they are whole."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.fabric.plugins import TorchCheckpointIO

UNFINISHED = ".part"


class WholeCheckpointIO(TorchCheckpointIO):
    """Replaces a checkpoint in one step, on whatever disk it lies.

    Lightning writes into the system's folder of temporary files. Where that is another disk, moving the file
    is copying it, and a run that is killed meanwhile has lost the old checkpoint and has half of the new one.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint; what a killed run has left of one is overwritten.

        Raises:
            OSError: It cannot be written; the checkpoint of that name stays as it was.
        """
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(target.name + UNFINISHED)
        content = io.BytesIO()  # torch reports a full disk as something else
        torch.save(checkpoint, content)
        try:
            with unfinished.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(target)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise


def keep_whole(trainer: Trainer) -> Trainer:
    """Have a trainer's checkpoints replaced in one step, unless its recipe brings another way."""
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
        trainer.strategy.checkpoint_io = WholeCheckpointIO()
    return trainer
