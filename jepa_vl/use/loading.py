"""`load`: a run, a checkpoint, an exported folder, a hub id or the recipe of a system → `Model`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from jepa_vl import registry
from jepa_vl.checkpoint import build_objective, load_objective, objective_class, read_checkpoint
from jepa_vl.decoders.base import TextDecoder
from jepa_vl.decoders.given import with_decoder
from jepa_vl.errors import UserError
from jepa_vl.objectives.base import Objective
from jepa_vl.recipe import load_recipe
from jepa_vl.recipe.resolve import resolve_part
from jepa_vl.results import Results
from jepa_vl.use.export import RESULTS
from jepa_vl.use.model import Model
from jepa_vl.use.origin import Origin, find_model


def load(
    path: str | Path,
    *,
    decoder: str | Path | None = None,
    which: str | None = None,
    device: str | torch.device | None = None,
    plugins: Sequence[str | Path] = (),
    progress: bool = False,
) -> Model:
    """Load a model.

    Args:
        path: Folder of a run (``runs/NAME``), a checkpoint, a folder that `Model.save_pretrained` (or
            ``jepa-vl export``) wrote, a hub id ``owner/model`` of such a folder, or the recipe of a system
            that needs no training (``recipes/systems/clip.yaml``).
        decoder: What turns embeddings to texts: the folder of a run of the objective `decoder`
            (``runs/decoder``), or ``nearest``, which chooses among the texts that `Model.caption` is given.
            The model's own by default, if it has one.
        which: ``best`` or ``last`` of a run; the best by default.
        device: Where to compute; a GPU if there is one.
        plugins: Local plugins (files or modules) that the model's parts come from, if any; an exported
            model does not bring code with it.
        progress: Show how many of several videos are done, where that takes seconds.

    Raises:
        UserError: There is no model, it is refused because it could run code, or the decoder was trained
            for another one.
        RecipeError: There is no such decoder, or the model takes none.

    Example:
        >>> model = jepa_vl.load("runs/quickstart", decoder="runs/decoder")
        >>> model.embed_video("clip.mp4").shape
        torch.Size([256])
        >>> model.caption("clip.mp4")
        'the agent opens the red door'
    """
    registry.load_local(plugins)
    return load_origin(find_model(path, which), decoder=decoder, device=device, progress=progress)


def load_origin(origin: Origin, *, decoder: str | Path | None = None, **options: Any) -> Model:
    """Load what `find_model` has found; ``options`` are those of `Model`.

    Raises:
        UserError: As `load` does.
    """
    if origin.kind == "recipe":
        model = _system(origin.path, decoder, options)
    elif origin.kind in ("export", "hub"):
        model = Model.from_pretrained(origin.folder, decoder=decoder, **options)
    else:
        model = _trained(origin, decoder, options)
    if decoder is not None:
        _check_decoder(model.objective)
    return model


def _trained(origin: Origin, decoder: str | Path | None, options: dict[str, Any]) -> Model:
    """Build the model of a run, with the results beside it, or of a checkpoint."""
    file = origin.checkpoint
    stored = read_checkpoint(file)["jepa_vl"]
    recipe = yaml.safe_load(stored["recipe"])
    if decoder is not None:
        recipe = with_decoder(recipe, decoder)
    results = origin.path / RESULTS if origin.kind == "run" else None
    return Model(
        load_objective(file, recipe=recipe),
        recipe=recipe,
        name=stored["name"],
        results=Results.load(results) if results is not None and results.exists() else None,
        **options,
    )


def _system(file: Path, decoder: str | Path | None, options: dict[str, Any]) -> Model:
    """Build what a recipe describes, which needs no training."""
    written = load_recipe([file])
    if written.values.get("objective") is None:
        raise UserError(f"{file} has no 'objective': it is not the recipe of a model")
    plugins = written.values.get("plugins") or []
    registry.load_local(plugins)
    part = resolve_part(written, ("objective",), "objectives", written.values["objective"])
    name = str(written.values.get("name") or file.stem)
    recipe: dict[str, Any] = {"name": name, "plugins": plugins, "objective": part}
    if getattr(objective_class(recipe), "trained", True):
        raise UserError(
            f"{file} is the recipe of a model that is trained: give its run (runs/{name}) instead, "
            f"after `jepa-vl fit --config {file}`"
        )
    if decoder is not None:
        recipe = with_decoder(recipe, decoder)
    return Model(build_objective(recipe), recipe=recipe, name=name, **options)


@torch.no_grad()
def _check_decoder(objective: Objective) -> None:
    """Refuse at once a decoder that was trained for another model."""
    decoder = getattr(objective, "decoder", None)
    if isinstance(decoder, TextDecoder):
        decoder.check_space(objective.embed_text)
