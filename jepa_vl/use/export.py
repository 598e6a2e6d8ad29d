"""Exported models: a folder of safetensors, a recipe and a card, in the way of the Hugging Face hub."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

import jepa_vl
from jepa_vl.checkpoint import build_objective, explain_checkpoint
from jepa_vl.decoders.given import standalone, with_decoder
from jepa_vl.errors import UserError
from jepa_vl.objectives.base import Objective
from jepa_vl.results import Results
from jepa_vl.use.card import model_card
from jepa_vl.use.state import DECODER, digests, is_frozen, load_state, size_of, state_of

if TYPE_CHECKING:
    from jepa_vl.use.model import Model

WEIGHTS, CONFIG, RECIPE, RESULTS, CARD = (
    "model.safetensors",
    "config.json",
    "recipe.yaml",
    "results.json",
    "README.md",
)
FORMAT = 1  # of the folder

M = TypeVar("M")
V = TypeVar("V")


def write_folder(model: Model, folder: Path) -> None:
    """Write an exported model.

    The weights of frozen parts that building the recipe gives anyway are left out: a part of a
    pretrained model is a reference to it by name, and a hash of what it was. A decoder that comes from a run
    of its own is written as a part of the model, so that the folder needs no run.

    Raises:
        UserError: The model does not know its recipe, or it is a decoder, which is exported with its model.
    """
    if model.recipe is None:
        raise UserError(
            "this model does not know its recipe, so it cannot be saved; load it with jepa_vl.load"
        )
    if model.objective.vision_encoder is None:
        raise UserError(
            f"{model.name} is a {type(model.objective).__name__}, which sees no video; export it with the "
            "model that it was trained for: `jepa-vl export MODEL --decoder THIS`"
        )
    recipe = standalone(model.recipe)
    tensors, values = state_of(model.objective)
    rebuilt = _rebuilt(model.objective, recipe, tensors)
    kept = {name: tensor.contiguous().clone() for name, tensor in tensors.items() if name not in rebuilt}
    config = {
        "format": FORMAT,
        "library_version": jepa_vl.__version__,
        "run": model.name,
        "architecture": type(model.objective).__name__,
        "abilities": sorted(model.abilities),
        "plugins": [Path(p).name for p in recipe.get("plugins") or []],
        "referenced": digests({name: tensors[name] for name in rebuilt}),
        "state": values,
    }
    written = {"name": model.name, "objective": recipe["objective"]}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(kept, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    text = yaml.safe_dump(written, sort_keys=False, allow_unicode=True)
    (folder / RECIPE).write_text(text, encoding="utf-8")
    card = model_card(
        model,
        recipe=recipe,
        kept=size_of(kept),
        total=size_of(tensors),
        referenced={n.partition(".")[0] for n in rebuilt},
    )
    (folder / CARD).write_text(card, encoding="utf-8")
    if model.results is not None:
        model.results.save(folder / RESULTS)


def read_folder(
    make: Callable[..., M], folder: Path, *, decoder: str | Path | None = None, **options: Any
) -> M:
    """Read an exported model. Nothing in the folder is run: weights are safetensors, the rest is plain text.

    Args:
        make: What is made of it: `Model`.
        folder: What `write_folder` wrote.
        decoder: A decoder in place of the model's own, as `load` takes it.
        **options: Of the model.

    Raises:
        UserError: The folder is not an exported model, or a pretrained part is not what it was at export.
    """
    missing = [name for name in (WEIGHTS, CONFIG, RECIPE) if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{folder} is not an exported model: it lacks {', '.join(missing)}")
    config = _read_config(folder / CONFIG)
    recipe = _read_recipe(folder / RECIPE)
    try:
        tensors = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{folder / WEIGHTS} is not a safetensors file, or half of one: {error}") from None
    try:
        if decoder is not None:
            recipe = with_decoder(recipe, decoder)
        objective = build_objective(recipe)
    except UserError as error:
        if config["plugins"]:
            needed = ", ".join(config["plugins"])
            raise UserError(
                f"{error}. {folder} was trained with local plugins ({needed}); give them"
            ) from error
        raise
    built, own = state_of(objective)
    values = config["state"]
    if decoder is not None:  # it stays as it was built
        tensors, values = _with_decoder_of(built, tensors), _with_decoder_of(own, values)
    referenced = {name: built[name] for name in built.keys() - tensors.keys() if is_frozen(objective, name)}
    for part, digest in digests(referenced).items():
        if config["referenced"].get(part) != digest:
            raise UserError(
                f"{folder}: the frozen part '{part}' has other weights here than at export; "
                f"look at its model name in {RECIPE}: it may have been updated, or be another one here"
            )
    try:
        load_state(objective, {**tensors, **referenced}, values)
    except RuntimeError as error:
        raise explain_checkpoint(error, folder / WEIGHTS, type(objective).__name__) or error from error
    results = Results.load(folder / RESULTS) if (folder / RESULTS).is_file() else None
    return make(objective, recipe=recipe, name=config["run"], results=results, **options)


def fetch(hub_id: str, *, revision: str | None = None, token: str | bool | None = None) -> Path:
    """Download an exported model from the hub (once), and return its folder.

    Raises:
        UserError: It cannot be fetched, or is not an exported model.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    files = [WEIGHTS, CONFIG, RECIPE, RESULTS]
    try:
        return Path(snapshot_download(hub_id, revision=revision, token=token, allow_patterns=files))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"there is no folder '{hub_id}', and no model of that name can be fetched from the hub: {reason}"
        ) from error


def _rebuilt(objective: Objective, recipe: dict[str, Any], tensors: Mapping[str, Tensor]) -> set[str]:
    """Names of frozen weights that building the recipe again gives bit by bit."""
    with torch.random.fork_rng():
        torch.seed()  # weights that start at random must not be taken for pretrained ones
        fresh, _ = state_of(build_objective(recipe))
    return {
        name
        for name, tensor in tensors.items()
        if name in fresh and is_frozen(objective, name) and torch.equal(tensor, fresh[name])
    }


def _with_decoder_of(built: Mapping[str, V], read: Mapping[str, V]) -> dict[str, V]:
    """What was read, with the decoder of what was built in place of its own."""
    return {
        **{name: value for name, value in read.items() if not name.startswith(DECODER)},
        **{name: value for name, value in built.items() if name.startswith(DECODER)},
    }


def _read_config(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} is not JSON: {error}") from None
    wanted = {"format", "run", "plugins", "referenced", "state"}
    if not isinstance(config, dict) or not wanted <= config.keys():
        raise UserError(f"{file} was not written by jepa-vl: expected the keys {', '.join(sorted(wanted))}")
    if config["format"] != FORMAT:
        raise UserError(f"{file} is of format {config['format']}, this version of jepa-vl reads {FORMAT}")
    return config


def _read_recipe(file: Path) -> dict[str, Any]:
    try:
        recipe = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{file} is not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(recipe, dict) or "objective" not in recipe:
        raise UserError(f"{file} names no objective")
    return {"name": recipe.get("name"), "objective": recipe["objective"]}  # never `plugins:`, which is code
