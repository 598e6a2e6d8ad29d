"""`Origin`: what a path or a name means as a model; the same wherever a model is asked for."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jepa_vl.checkpoint import checkpoint_file, file_stamp
from jepa_vl.errors import UserError, nearest
from jepa_vl.recipe import load_recipe
from jepa_vl.use.export import CONFIG, RECIPE, WEIGHTS, fetch

RECIPES = (".yaml", ".yml")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")

Kind = Literal["run", "checkpoint", "export", "hub", "recipe"]
EXPECTED = (
    "Expected the folder of a run, a checkpoint, an exported folder, a hub id owner/model, or the recipe of "
    "a system that needs no training"
)


@dataclass(frozen=True)
class Origin:
    """Where a model comes from.

    Attributes:
        kind: What it is.
        path: Folder or file; of a hub's model, its id.
        name: What the model is called where no name is given.
        which: ``best`` or ``last`` of a run; None is the best.
    """

    kind: Kind
    path: Path
    name: str
    which: str | None = None

    @property
    def checkpoint(self) -> Path:
        """The file of a run or a checkpoint.

        Raises:
            UserError: There is none, or it is damaged.
        """
        return checkpoint_file(self.path, self.which)

    @property
    def folder(self) -> Path:
        """The exported folder, fetched from the hub if it lies there.

        Raises:
            UserError: It cannot be fetched.
        """
        return fetch(str(self.path)) if self.kind == "hub" else self.path

    def key(self) -> str:
        """Return a hash of which model this is: its recipe's text with all imports, or its files' times.

        Raises:
            UserError: It cannot be read.
        """
        if self.kind == "recipe":
            text = repr(load_recipe([self.path]).values)
        elif self.kind in ("run", "checkpoint"):
            text = file_stamp(self.checkpoint)
        else:
            folder = self.folder
            text = " ".join(file_stamp(folder / name) for name in (WEIGHTS, CONFIG, RECIPE))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def find_model(path: str | Path, which: str | None = None) -> Origin:
    """Find out what is meant; nothing is loaded or fetched.

    Args:
        path: What the user wrote.
        which: ``best`` or ``last`` of a run.

    Raises:
        UserError: It is no model.
    """
    place = Path(path).expanduser()
    name = place.absolute().name
    if place.is_dir():
        if (place / WEIGHTS).is_file():
            return Origin("export", place, name)
        if (place / "checkpoints").is_dir():
            return Origin("run", place, name, which)
        raise UserError(_not_a_model(place))
    if place.is_file():
        if place.suffix in RECIPES:
            return Origin("recipe", place, place.stem)
        if place.suffix == ".safetensors":
            raise UserError(f"{place} holds weights alone; give the folder it lies in")
        of_run = place.absolute().parent
        return Origin("checkpoint", place, of_run.parent.name if of_run.name == "checkpoints" else place.stem)
    is_file_name = place.suffix in (*RECIPES, ".ckpt", ".safetensors")
    if HUB_ID.fullmatch(str(path)) and not place.parent.is_dir() and not is_file_name:
        return Origin("hub", place, place.name)
    beside = [entry.name for entry in place.parent.iterdir()] if place.parent.is_dir() else []
    near = " or ".join(f"'{place.parent / name}'" for name in nearest(place.name, beside))
    raise UserError(f"there is no model '{path}'{f'; did you mean {near}?' if near else '.'} {EXPECTED}")


def _not_a_model(folder: Path) -> str:
    text = (
        f"{folder} is not a run folder or an exported model: expected config.yaml and checkpoints/, "
        f"or {WEIGHTS}"
    )
    if pickled := sorted(f.name for f in folder.iterdir() if f.suffix in (".bin", ".pt", ".pth", ".pkl")):
        return f"{text}; {pickled[0]} is pickled and could run code, so it is not read"
    runs = sorted(f.name for f in folder.iterdir() if (f / "checkpoints").is_dir())
    return f"{text}; it holds the runs {', '.join(runs[:5])}" if runs else text
