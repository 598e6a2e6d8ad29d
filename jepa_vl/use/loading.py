"""`load`: a run's folder, a checkpoint, an exported folder or a hub id → `Model`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from jepa_vl import registry
from jepa_vl.checkpoint import load_objective, read_checkpoint
from jepa_vl.errors import UserError, nearest
from jepa_vl.results import Results
from jepa_vl.runs import best_or_last, find_checkpoint
from jepa_vl.use.export import WEIGHTS
from jepa_vl.use.model import Model

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def load(
    path: str | Path,
    *,
    which: str | None = None,
    device: str | torch.device | None = None,
    plugins: Sequence[str | Path] = (),
    progress: bool = False,
) -> Model:
    """Load a trained model.

    Args:
        path: Folder of a run (``runs/NAME``), a checkpoint, a folder that `Model.save_pretrained` (or
            ``jepa-vl export``) wrote, or a hub id ``owner/model`` of such a folder.
        which: ``best`` or ``last`` of a run; the best by default.
        device: Where to compute; a GPU if there is one.
        plugins: Local plugins (files or modules) that the model's parts come from, if any; an exported
            model does not bring code with it.
        progress: Show how many of several videos are done, where that takes seconds.

    Raises:
        UserError: There is no model, or it is refused because it could run code.

    Example:
        >>> model = jepa_vl.load("runs/quickstart")
        >>> model.embed_video("clip.mp4").shape
        torch.Size([256])
    """
    registry.load_local(plugins)
    place = Path(path).expanduser()
    options: dict[str, Any] = {"device": device, "progress": progress}
    if place.is_dir() and (place / WEIGHTS).is_file():
        return Model.from_pretrained(place, **options)
    if place.is_dir() and (place / "checkpoints").is_dir():
        file = find_checkpoint(which or best_or_last(place), place)
        return _from_checkpoint(file, place / "results.json", options)
    if place.is_dir():
        raise UserError(_not_a_model(place))
    if place.is_file():
        if place.suffix == ".safetensors":
            raise UserError(f"{place} holds weights alone; give the folder it lies in")
        return _from_checkpoint(find_checkpoint(str(place), place), None, options)
    if HUB_ID.fullmatch(str(path)) and not place.parent.is_dir():
        return Model.from_pretrained(str(path), **options)
    beside = [entry.name for entry in place.parent.iterdir()] if place.parent.is_dir() else []
    near = " or ".join(f"'{place.parent / name}'" for name in nearest(place.name, beside))
    raise UserError(
        f"there is no model '{path}'{f'; did you mean {near}?' if near else ''} "
        "Expected the folder of a run, a checkpoint, an exported folder, or a hub id owner/model"
    )


def _from_checkpoint(file: Path, results: Path | None, options: dict[str, Any]) -> Model:
    """Build the model of a checkpoint; ``results`` are those of its run, where there are any."""
    stored = read_checkpoint(file)["jepa_vl"]
    return Model(
        load_objective(file),
        recipe=yaml.safe_load(stored["recipe"]),
        name=stored["name"],
        results=Results.load(results) if results is not None and results.exists() else None,
        **options,
    )


def _not_a_model(folder: Path) -> str:
    text = (
        f"{folder} is not a run folder or an exported model: expected config.yaml and checkpoints/, "
        f"or {WEIGHTS}"
    )
    if pickled := sorted(f.name for f in folder.iterdir() if f.suffix in (".bin", ".pt", ".pth", ".pkl")):
        return f"{text}; {pickled[0]} is pickled and could run code, so it is not read"
    runs = sorted(f.name for f in folder.iterdir() if (f / "checkpoints").is_dir())
    return f"{text}; it holds the runs {', '.join(runs[:5])}" if runs else text
