"""The folder of a run, and the checkpoints in it."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from jepa_vl.errors import RecipeError, UserError, did_you_mean

RUNS = Path("runs")
RECIPE = "config.yaml"  # there once a run has begun to train
BEFORE = ".before"  # of a sharded checkpoint that steps aside for the next one


def run_folder(name: str) -> Path:
    """``runs/NAME`` under the working directory.

    Raises:
        RecipeError: The name would lead out of ``runs``.
    """
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts:
        raise RecipeError(f"name '{name}' is not the name of a folder under runs/")
    return RUNS / name


def make_room(folder: Path) -> Path | None:
    """Rename a folder that holds an earlier run to ``NAME.1``, ``NAME.2``, …; nothing is ever lost.

    Returns:
        Its new name, or None if there was no run in it.
    """
    kept_ones = (*folder.glob("checkpoints/*.ckpt"), *folder.glob(f"checkpoints/*.ckpt{BEFORE}"))
    has_run = bool(kept_ones) or (folder / "results.json").exists()
    if not has_run:
        return None
    number = 1
    while (kept := folder.with_name(f"{folder.name}.{number}")).exists():
        number += 1
    folder.rename(kept)
    return kept


def take_back(kept: Path, folder: Path) -> bool:
    """Give an earlier run its name again, if the one that it made room for never began to train.

    Returns:
        Whether it has it again.
    """
    if (folder / RECIPE).exists():
        return False
    shutil.rmtree(folder, ignore_errors=True)  # what loggers write beforehand
    kept.rename(folder)
    return True


def best_or_last(folder: Path) -> str:
    """Return what is evaluated when nothing is said: ``last`` where a run was never validated."""
    there = {name for name in ("best", "last") if (folder / "checkpoints" / f"{name}.ckpt").exists()}
    return "last" if there == {"last"} else "best"


def find_checkpoint(wanted: str, folder: Path) -> Path:
    """Return the file that ``best``, ``last`` or a path means.

    Where a run was killed while a sharded checkpoint took the place of the last one, it is the last one.

    Raises:
        UserError: There is none, or it is not a checkpoint.
    """
    named = wanted in ("best", "last")
    path = folder / "checkpoints" / f"{wanted}.ckpt" if named else Path(wanted)
    if not path.exists():
        before = Path(f"{path}{BEFORE}")
        if before.is_dir():
            return before
        if named:
            others = sorted(p.name for p in folder.glob("checkpoints/*.ckpt"))
            there = f"there is {', '.join(others)}" if others else "train with `jepa-vl fit` first"
            raise UserError(f"run '{folder.name}' has no {wanted} checkpoint ({path}); {there}")
        near = [str(p) for p in sorted(path.parent.glob("*.ckpt"))] if path.parent.is_dir() else []
        raise UserError(f"checkpoint {path} does not exist; {did_you_mean(wanted, [*near, 'best', 'last'])}")
    # a folder is a sharded checkpoint
    if path.is_file() and not zipfile.is_zipfile(path):
        raise UserError(f"{path} is not a checkpoint, or only half of one ({path.stat().st_size} bytes)")
    return path
