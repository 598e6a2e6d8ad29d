"""A checkpoint is there whole or not at all, also where temporary files lie on another disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from lightning.fabric.plugins import TorchCheckpointIO

from jepa_vl.checkpoint_io import WholeCheckpointIO, keep_whole


def test_it_is_moved_to_its_name_within_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[tuple[Path, Path]] = []
    replace = os.replace

    def note(source: Any, target: Any) -> None:
        moved.append((Path(source), Path(target)))
        assert moved[-1][0].parent == moved[-1][1].parent
        replace(source, target)

    monkeypatch.setattr(os, "replace", note)
    path = tmp_path / "checkpoints" / "last.ckpt"
    for step in (1, 2):
        WholeCheckpointIO().save_checkpoint({"global_step": step}, path)
        assert torch.load(path, weights_only=True) == {"global_step": step}
    assert len(moved) == 2
    assert [f.name for f in path.parent.iterdir()] == ["last.ckpt"]


def test_a_disk_that_is_full_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    WholeCheckpointIO().save_checkpoint({"global_step": 1}, path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        WholeCheckpointIO().save_checkpoint({"global_step": 2}, path)
    assert torch.load(path, weights_only=True) == {"global_step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_recipes_own_way_of_writing_stays() -> None:
    class Own(TorchCheckpointIO):
        pass

    quiet = {"accelerator": "cpu", "devices": 1, "logger": False, "enable_progress_bar": False}
    assert isinstance(keep_whole(Trainer(**quiet)).strategy.checkpoint_io, WholeCheckpointIO)
    own = keep_whole(Trainer(**quiet, plugins=[Own()]))
    assert isinstance(own.strategy.checkpoint_io, Own)
