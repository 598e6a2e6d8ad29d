"""A checkpoint is there whole or not at all, also where temporary files lie on another disk."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import Trainer
from lightning.fabric.plugins import TorchCheckpointIO

from jepa_vl.checkpoint_io import WholeCheckpointIO, keep_folders_whole, keep_whole
from jepa_vl.runs import find_checkpoint


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


class Killed(BaseException):
    """The process ends here, and cleans nothing up."""


FILES = ("0.distcp", "1.distcp", "meta.pt")


def sharded(killed_at: str = "") -> Any:
    """Something that writes folders as the strategy does, in a process that is killed at a file."""

    def write(checkpoint: dict[str, Any], path: Path, _: Any = None) -> None:
        path.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            if name == killed_at:
                raise Killed
            (path / name).write_text(str(checkpoint["global_step"]))

    strategy: Any = SimpleNamespace(
        save_checkpoint=write, broadcast=lambda path: path, barrier=lambda: None, is_global_zero=True
    )
    keep_folders_whole(strategy)
    return strategy


def steps_in(folder: Path) -> set[str]:
    """What the files of a folder say, all of which are there."""
    return {(folder / name).read_text() for name in FILES}


@pytest.mark.parametrize("file", FILES)
def test_a_kill_while_a_folder_is_written_leaves_the_last_one(file: str, tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "last.ckpt"
    sharded().save_checkpoint({"global_step": 1}, path)
    with pytest.raises(Killed):
        sharded(killed_at=file).save_checkpoint({"global_step": 2}, path)
    assert steps_in(find_checkpoint("last", tmp_path)) == {"1"}
    sharded().save_checkpoint({"global_step": 3}, path)
    assert steps_in(find_checkpoint("last", tmp_path)) == {"3"}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(("number", "step"), [(1, "1"), (2, "1"), (3, "2")])
def test_a_kill_between_the_names_leaves_a_whole_folder(
    number: int, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoints" / "last.ckpt"
    sharded().save_checkpoint({"global_step": 1}, path)
    moments = iter(range(1, 4))
    rename, remove = Path.rename, shutil.rmtree

    def until(do: Any, counts: Any = lambda _: True) -> Any:
        def step(source: Any, *more: Any, **options: Any) -> Any:
            if counts(source) and next(moments) == number:
                raise Killed
            return do(source, *more, **options)

        return step

    monkeypatch.setattr(Path, "rename", until(rename))
    monkeypatch.setattr(shutil, "rmtree", until(remove, lambda folder: Path(folder).exists()))
    with pytest.raises(Killed):
        sharded().save_checkpoint({"global_step": 2}, path)
    monkeypatch.undo()
    assert steps_in(find_checkpoint("last", tmp_path)) == {step}
    assert steps_in(find_checkpoint(str(path), tmp_path)) == {step}
    sharded().save_checkpoint({"global_step": 3}, path)
    assert list(path.parent.iterdir()) == [path]
    assert steps_in(path) == {"3"}


def test_a_folder_takes_the_place_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    WholeCheckpointIO().save_checkpoint({"global_step": 1}, path)
    sharded().save_checkpoint({"global_step": 2}, path)
    assert steps_in(path) == {"2"}
