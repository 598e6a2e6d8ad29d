"""Short names → class paths, and a check of every key and value before anything heavy is built."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any

from lightning import Trainer

from jepa_vl import registry
from jepa_vl.errors import RecipeError, did_you_mean
from jepa_vl.recipe.arguments import (
    REQUIRED,
    UNKNOWN,
    Argument,
    arguments_of,
    choices_in,
    classes_in,
    takes_any,
    type_text,
)
from jepa_vl.recipe.document import Key, Recipe

#: The keys of a recipe that are no parts, with their help.
PLAIN: dict[str, Argument] = {
    a.name: a
    for a in (
        Argument(
            "name", str, None, "name of the run, whose folder is runs/NAME; the recipe's file name by default"
        ),
        Argument("seed_everything", int, 1, "seed of weights, data order and augmentation"),
        Argument("ckpt_path", str | None, None, "last, best, or the path of a checkpoint"),
        Argument(
            "init_from",
            str | None,
            None,
            "run or checkpoint whose weights training starts from, as fine-tuning does",
        ),
        Argument("plugins", list[str], [], "local .py files or modules that register parts"),
    )
}
PARTS = {"objective": "objectives", "data": "data", "tasks": "tasks"}


def resolve(recipe: Recipe) -> dict[str, Any]:
    """Check a recipe and return its values with full class paths.

    Loads the recipe's local plugins and imports the parts it names, but builds none.

    Raises:
        RecipeError: With file, line and key: an unknown key or name, a missing one, or a wrong value.
    """
    values = dict(recipe.values)
    plugins = values.get("plugins", [])
    registry.load_local(plugins)
    known = [*PLAIN, *PARTS, "trainer"]
    for key in values:
        if key not in known:
            raise recipe.error((key,), f"unknown key; {did_you_mean(str(key), known)}")
    for key in ("objective", "data"):
        if values.get(key) is None:
            names = ", ".join(registry.names(PARTS[key]))
            raise RecipeError(f"the recipe has no '{key}'; choose from {names}, or give a recipe by --config")
    for key, argument in PLAIN.items():
        if key in values:
            _check_leaf(recipe, (key,), argument, values[key])
    tasks = values.get("tasks") or []
    values["tasks"] = [tasks] if isinstance(tasks, str) else tasks
    if not isinstance(values["tasks"], list):
        raise recipe.error(("tasks",), f"expected a list of tasks, found {values['tasks']!r}")
    trainer = values.get("trainer") or {}
    if not isinstance(trainer, dict):
        raise recipe.error(("trainer",), f"expected arguments of Lightning's Trainer, found {trainer!r}")
    values["trainer"] = _arguments(recipe, ("trainer",), Trainer, trainer)
    values["objective"] = resolve_part(recipe, ("objective",), "objectives", values["objective"])
    values["data"] = resolve_part(recipe, ("data",), "data", values["data"])
    values["tasks"] = [resolve_part(recipe, ("tasks", i), "tasks", v) for i, v in enumerate(values["tasks"])]
    return values


def resolve_part(recipe: Recipe, key: Key, group: str, value: Any) -> dict[str, Any]:
    """Resolve ``name`` or ``{class_path: name, init_args: {…}}`` to a full class path.

    Args:
        recipe: Where it stands, for messages.
        key: Its place in it.
        group: Of which group of parts it must be.
        value: What stands there.

    Raises:
        RecipeError: With file, line and key: an unknown name or argument, or a wrong value.
    """
    if isinstance(value, str):
        value = {"class_path": value}
    if not isinstance(value, dict):
        raise recipe.error(key, f"expected the name of a part of group '{group}', found {value!r}")
    for word in value:
        if word not in ("class_path", "init_args"):
            hint = f"write it under init_args, beside class_path: {value.get('class_path', 'NAME')}"
            raise recipe.error((*key, word), f"expected class_path and init_args here; {hint}")
    name = value.get("class_path")
    if not isinstance(name, str):
        names = ", ".join(registry.names(group))
        raise recipe.error(key, f"it has no class_path; choose from {names}")
    where = (*key, "class_path")
    try:
        if "." in name:
            path, part = name, _imported(name, group)
        else:
            path, part = registry.entry(group, name).class_path, registry.get(group, name)
    except RecipeError as error:
        raise recipe.error(where, str(error)) from error
    arguments = value.get("init_args") or {}
    if not isinstance(arguments, dict):
        raise recipe.error((*key, "init_args"), f"expected arguments of '{name}', found {arguments!r}")
    return {"class_path": path, "init_args": _arguments(recipe, (*key, "init_args"), part, arguments)}


def _imported(path: str, group: str) -> Any:
    module, _, name = path.rpartition(".")
    return registry.Entry(group, name, f"{module}:{name}", module).load()


def _arguments(recipe: Recipe, key: Key, part: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    known = arguments_of(part)
    owner = getattr(part, "__name__", str(part))
    for name in given:
        if name not in known:
            raise recipe.error((*key, name), f"unknown argument of {owner}; {did_you_mean(str(name), known)}")
    for name, argument in known.items():
        if argument.default is REQUIRED and name not in given:
            raise recipe.error((*key, name), f"it is missing; {owner} needs it ({type_text(argument.hint)})")
    return {name: _value(recipe, (*key, name), known[name], value) for name, value in given.items()}


def _value(recipe: Recipe, key: Key, argument: Argument, value: Any) -> Any:
    group = _group_of(argument)
    if group is not None and value is not None and value != "null":
        if isinstance(value, list):
            return [resolve_part(recipe, (*key, i), group, v) for i, v in enumerate(value)]
        return resolve_part(recipe, key, group, value)
    settings = next((c for c in classes_in(argument.hint) if dataclasses.is_dataclass(c)), None)
    if settings is not None and isinstance(value, dict):
        return _arguments(recipe, key, settings, value)
    if isinstance(value, list) and any(_names_class(v) for v in value):
        value = [_other(recipe, (*key, i), v) if _names_class(v) else v for i, v in enumerate(value)]
    elif _names_class(value):
        value = _other(recipe, key, value)
    _check_leaf(recipe, key, argument, value)
    return value


def _names_class(value: Any) -> bool:
    return isinstance(value, dict) and "." in str(value.get("class_path", ""))


def _other(recipe: Recipe, key: Key, value: dict[str, Any]) -> dict[str, Any]:
    """Check a class that is no part of ours, a callback or a logger of Lightning's say."""
    module, _, name = value["class_path"].rpartition(".")
    try:
        part = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise recipe.error(
            (*key, "class_path"), f"'{value['class_path']}' cannot be imported: {error}"
        ) from error
    given, known = value.get("init_args") or {}, arguments_of(part)
    # what it keeps for others, as DDPStrategy does for torch's DDP, is found in its source by the parser
    kept = {k: v for k, v in given.items() if k not in known} if takes_any(part) else {}
    checked = {k: v for k, v in given.items() if k not in kept}
    return {**value, "init_args": {**_arguments(recipe, (*key, "init_args"), part, checked), **kept}}


def _group_of(argument: Argument) -> str | None:
    """The group of the part an argument takes, by its type; by its name where it has none."""
    if argument.hint is UNKNOWN:
        return registry.KEYS[argument.name].name if argument.name in registry.KEYS else None
    paths = {f"{c.__module__}:{c.__qualname__}" for c in classes_in(argument.hint)}
    return next((g.name for g in registry.GROUPS.values() if g.base in paths), None)


def _check_leaf(recipe: Recipe, key: Key, argument: Argument, value: Any) -> None:
    if argument.accepts(value):
        return
    choices = choices_in(argument.hint)
    nearest = f"; {did_you_mean(value, choices)}" if isinstance(value, str) and choices else ""
    raise recipe.error(key, f"expected {type_text(argument.hint)}, found {value!r}{nearest}")
