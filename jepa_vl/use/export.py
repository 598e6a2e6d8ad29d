"""Exported models: a folder of safetensors, a recipe and a card, in the way of the Hugging Face hub."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import jepa_vl
from jepa_vl.checkpoint import build_objective, explain_checkpoint
from jepa_vl.errors import UserError
from jepa_vl.objectives.base import Objective
from jepa_vl.results import Results
from jepa_vl.use.card import model_card

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
EXTRA = "_extra_state"  # how torch ends the name of a module's own state, which may be no tensor

M = TypeVar("M", bound="Model")


def write_folder(model: Model, folder: Path) -> None:
    """Write an exported model.

    The weights of frozen parts that building the recipe gives anyway are left out: a part of a
    pretrained model is a reference to it by name, and a hash of what it was.

    Raises:
        UserError: The model does not know its recipe.
    """
    if model.recipe is None:
        raise UserError(
            "this model does not know its recipe, so it cannot be saved; load it with jepa_vl.load"
        )
    tensors, values = state_of(model.objective)
    rebuilt = _rebuilt(model.objective, model.recipe, tensors)
    kept = {name: tensor.contiguous().clone() for name, tensor in tensors.items() if name not in rebuilt}
    config = {
        "format": FORMAT,
        "library_version": jepa_vl.__version__,
        "run": model.name,
        "architecture": type(model.objective).__name__,
        "abilities": sorted(model.abilities),
        "plugins": [Path(p).name for p in model.recipe.get("plugins") or []],
        "referenced": _digests({name: tensors[name] for name in rebuilt}),
        "state": values,
    }
    recipe = {"name": model.name, "objective": model.recipe["objective"]}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(kept, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    text = yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True)
    (folder / RECIPE).write_text(text, encoding="utf-8")
    card = model_card(
        model, kept=size_of(kept), total=size_of(tensors), referenced={n.partition(".")[0] for n in rebuilt}
    )
    (folder / CARD).write_text(card, encoding="utf-8")
    if model.results is not None:
        model.results.save(folder / RESULTS)


def read_folder(cls: type[M], folder: Path, **options: Any) -> M:
    """Read an exported model. Nothing in the folder is run: weights are safetensors, the rest is plain text.

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
        objective = build_objective(recipe)
    except UserError as error:
        if config["plugins"]:
            needed = ", ".join(config["plugins"])
            raise UserError(
                f"{error}. {folder} was trained with local plugins ({needed}); give them"
            ) from error
        raise
    built, _ = state_of(objective)
    referenced = {name: built[name] for name in built.keys() - tensors.keys() if _is_frozen(objective, name)}
    for part, digest in _digests(referenced).items():
        if config["referenced"].get(part) != digest:
            raise UserError(
                f"{folder}: the frozen part '{part}' has other weights here than at export; "
                f"look at its model name in {RECIPE}: it may have been updated, or be another one here"
            )
    state = _joined({**tensors, **referenced}, config["state"])
    decoder = _decoder(objective)
    try:
        objective.load_state_dict(state)
        if decoder is not None:  # whose state the objective may leave as it is
            parts = {k.removeprefix("decoder."): v for k, v in state.items() if k.startswith("decoder.")}
            decoder.load_state_dict(parts)
    except RuntimeError as error:
        raise explain_checkpoint(error, folder / WEIGHTS, type(objective).__name__) or error from error
    results = Results.load(folder / RESULTS) if (folder / RESULTS).is_file() else None
    return cls(objective, recipe=recipe, name=config["run"], results=results, **options)


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


def state_of(objective: Objective) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return an objective's state: tensors by name, and what its modules keep besides, as plain values.

    A decoder's state is in it, which the objective's own ``state_dict`` may leave out.
    A tensor within a module's own state is among the tensors, under ``module._extra_state.key``.
    """
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    decoder = _decoder(objective)
    own = {} if decoder is None else decoder.state_dict(prefix="decoder.")
    for name, value in {**objective.state_dict(), **own}.items():
        if isinstance(value, Tensor):
            tensors[name] = value.detach().cpu()
        elif isinstance(value, Mapping):
            values[name] = {key: v for key, v in value.items() if not isinstance(v, Tensor)}
            tensors |= {
                f"{name}.{key}": v.detach().cpu() for key, v in value.items() if isinstance(v, Tensor)
            }
        else:
            values[name] = value
    return tensors, values


def size_of(tensors: Mapping[str, Tensor]) -> int:
    """Return how many numbers they hold."""
    return sum(tensor.numel() for tensor in tensors.values())


def _decoder(objective: Objective) -> nn.Module | None:
    decoder = getattr(objective, "decoder", None)
    return decoder if isinstance(decoder, nn.Module) else None


def _joined(tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> dict[str, Any]:
    """What `state_of` took apart."""
    state: dict[str, Any] = {name: dict(v) if isinstance(v, Mapping) else v for name, v in values.items()}
    for name, tensor in tensors.items():
        owner, marker, key = name.partition(f"{EXTRA}.")
        if marker:
            state[owner + EXTRA][key] = tensor
        else:
            state[name] = tensor
    return state


def _rebuilt(objective: Objective, recipe: dict[str, Any], tensors: Mapping[str, Tensor]) -> set[str]:
    """Names of frozen weights that building the recipe again gives bit by bit."""
    with torch.random.fork_rng():
        torch.seed()  # weights that start at random must not be taken for pretrained ones
        fresh, _ = state_of(build_objective(recipe))
    return {
        name
        for name, tensor in tensors.items()
        if name in fresh and _is_frozen(objective, name) and torch.equal(tensor, fresh[name])
    }


def _is_frozen(objective: Objective, name: str) -> bool:
    """Whether a tensor of the state is no part of what is trained: a frozen parameter, or a buffer."""
    try:
        return not objective.get_parameter(name).requires_grad
    except AttributeError:
        return EXTRA not in name


def _digests(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """One hash for each part of the objective, of those of its weights that are left out."""
    found: dict[str, Any] = {}
    for name in sorted(tensors):
        digest = found.setdefault(name.partition(".")[0], hashlib.sha256())
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return {part: digest.hexdigest() for part, digest in found.items()}


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
