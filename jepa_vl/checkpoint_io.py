"""Checkpoints are written beside their place, and get their name when they are whole."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.strategies import ModelParallelStrategy

from jepa_vl.runs import BEFORE

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


def keep_folders_whole(strategy: ModelParallelStrategy) -> None:
    """Have a sharded checkpoint, a folder with files of every process, get its name when all have written.

    A folder cannot be replaced in one step, so the old one steps aside for a moment, as ``NAME.before``; a
    run that is killed just then goes on from that (`jepa_vl.runs.find_checkpoint`).
    """
    write = strategy.save_checkpoint

    def save(checkpoint: dict[str, Any], filepath: str | Path, storage_options: Any | None = None) -> None:
        if "://" in str(filepath):
            write(checkpoint, filepath, storage_options)
            return
        target = Path(strategy.broadcast(filepath))  # of the first process, for all
        unfinished = target.with_name(target.name + UNFINISHED)
        if strategy.is_global_zero:
            shutil.rmtree(unfinished, ignore_errors=True)
        strategy.barrier()
        write(checkpoint, unfinished, storage_options)
        strategy.barrier()
        if strategy.is_global_zero:
            _put(unfinished, target)
        strategy.barrier()

    strategy.save_checkpoint = save  # type: ignore[method-assign]


def _put(folder: Path, target: Path) -> None:
    """Give a whole folder its name; whatever happens, this one or the last one is there."""
    before = target.with_name(target.name + BEFORE)
    if target.is_dir():
        shutil.rmtree(before, ignore_errors=True)
        target.rename(before)
    else:
        target.unlink(missing_ok=True)  # of a run that was not sharded
    folder.rename(target)
    shutil.rmtree(before, ignore_errors=True)


def keep_whole(trainer: Trainer) -> Trainer:
    """Have a trainer's checkpoints replaced whole, unless its recipe brings another way."""
    strategy = trainer.strategy
    if isinstance(strategy, ModelParallelStrategy) and strategy._save_distributed_checkpoint:
        keep_folders_whole(strategy)
    elif type(strategy.checkpoint_io) is TorchCheckpointIO:
        strategy.checkpoint_io = WholeCheckpointIO()
    return trainer
