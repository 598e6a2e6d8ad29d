"""A decoder that is given beside a model: what its name or run means in the model's recipe."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from jepa_vl import registry
from jepa_vl.checkpoint import file_stamp, objective_class
from jepa_vl.decoders.prefix_lm import PrefixLM
from jepa_vl.decoders.trained import DecoderRun, read_decoder_run
from jepa_vl.errors import RecipeError, nearest
from jepa_vl.objectives.base import GENERATE
from jepa_vl.recipe.arguments import REQUIRED, arguments_of

CLASS = f"{PrefixLM.__module__}.{PrefixLM.__qualname__}"
#: Settings that a decoder has in use; a run's hold where its decoder is given beside a model.
IN_USE = ("beams", "max_new_tokens")


def with_decoder(recipe: dict[str, Any], decoder: str | Path) -> dict[str, Any]:
    """Return the resolved recipe of a model that says its texts by a decoder, in place of its own if any.

    Args:
        recipe: The model's; it is left as it is.
        decoder: Folder of a run of the objective `decoder` (``runs/NAME``), a checkpoint of it, or the name
            of a decoder that is not trained, such as ``nearest``.

    Raises:
        RecipeError: There is no such decoder, or the objective takes none.
    """
    part = _part(decoder)
    objective: Any = objective_class(recipe)
    argument = arguments_of(objective).get("decoder")
    if argument is None or argument.default is REQUIRED:
        speaks = GENERATE in objective.abilities
        reason = "says its texts itself" if speaks else "has no use for it"
        raise RecipeError(
            f"decoder {decoder}: the model is a {objective.__name__}, which {reason}; leave the decoder out, "
            "or give a model that takes one, such as a run of the objective jepa"
        )
    changed = copy.deepcopy(recipe)
    changed["objective"].setdefault("init_args", {})["decoder"] = part
    return changed


def decoder_stamp(decoder: str | Path) -> str:
    """Return which decoder this is: its name, or its checkpoint and of what time.

    Raises:
        RecipeError: There is no such decoder.
    """
    part = _part(decoder)
    weights = part["init_args"].get("weights")
    return str(part["class_path"]) if weights is None else file_stamp(read_decoder_run(weights).file)


def standalone(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return a resolved recipe whose decoder names no run: it is built as that run built its own.

    What the run has learned is not in it, and must be loaded afterwards.

    Raises:
        RecipeError: There is no such run any more.
    """
    part = (recipe["objective"].get("init_args") or {}).get("decoder")
    if not isinstance(part, dict) or not (part.get("init_args") or {}).get("weights"):
        return recipe
    used = part["init_args"]
    run = read_decoder_run(used["weights"])
    built = {k: v for k, v in run.part["init_args"].items() if k not in (*IN_USE, "freeze")}
    width = run.state["space"].shape[1]
    changed = copy.deepcopy(recipe)
    changed["objective"]["init_args"]["decoder"] = {
        "class_path": part["class_path"],
        "init_args": {**built, "embed_dim": width, **{k: used[k] for k in IN_USE if k in used}},
    }
    changed["plugins"] = list(dict.fromkeys([*(recipe.get("plugins") or []), *run.plugins]))
    return changed


def _part(decoder: str | Path) -> dict[str, Any]:
    """Return the recipe's part.

    Raises:
        RecipeError: There is no such decoder.
    """
    name = str(decoder)
    if name in registry.names("decoders"):
        if registry.get("decoders", name) is PrefixLM:
            raise RecipeError(
                f"decoder {name} must be trained: give the folder of its run (runs/decoder say), made by "
                "`jepa-vl fit --config recipes/decoder.yaml`"
            )
        return {"class_path": registry.entry("decoders", name).class_path, "init_args": {}}
    run = _run(Path(decoder).expanduser())
    settings = {k: v for k, v in run.part["init_args"].items() if k in IN_USE}
    return {"class_path": CLASS, "init_args": {"weights": str(Path(decoder).expanduser()), **settings}}


def _run(place: Path) -> DecoderRun:
    if not place.exists():
        beside = [str(entry) for entry in place.parent.iterdir()] if place.parent.is_dir() else []
        near = " or ".join(f"'{n}'" for n in nearest(str(place), [*beside, *registry.names("decoders")]))
        raise RecipeError(
            f"there is no decoder '{place}'{f'; did you mean {near}?' if near else '.'} Expected the folder "
            "of a run of the objective decoder, its checkpoint, or the name 'nearest'"
        )
    try:
        return read_decoder_run(place)
    except RecipeError as error:
        raise RecipeError(f"decoder {place}: {error}") from error
