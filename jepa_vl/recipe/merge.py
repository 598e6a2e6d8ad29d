"""Recipes that import recipes, and what the command line changes in them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jepa_vl.errors import RecipeError
from jepa_vl.recipe.document import Key, Recipe, dotted, read_value, read_yaml, shown


def load_recipe(configs: Sequence[str | Path], overrides: Sequence[tuple[str, str]] = ()) -> Recipe:
    """Read recipes with their imports, later ones over earlier ones, then apply overrides.

    Mappings are merged key by key, lists and words are replaced; only ``plugins`` are added up. A part
    of another ``class_path`` starts afresh, without the ``init_args`` of the one it replaces.

    Args:
        configs: Recipe files.
        overrides: (dotted key, value) of the command line, such as ``("objective.loss", "l1")``;
            ``init_args`` is left out of such a key.

    Raises:
        RecipeError: A file is missing, is not YAML or imports itself, or a key cannot be set.
    """
    recipe = Recipe()
    for config in configs:
        _merge(recipe, _with_imports(Path(config).resolve(), ()))
    for name, text in overrides:
        _override(recipe, name, text)
    return recipe


def lay_over(base: Recipe, top: Recipe) -> Recipe:
    """Return ``top`` over ``base`` by the same rules; both stay as they are."""
    merged = Recipe(copy.deepcopy(base.values), dict(base.places))
    _merge(merged, top)
    return merged


def with_value(recipe: Recipe, name: str, value: Any, place: str) -> Recipe:
    """Return the recipe with one more value, as the command line would set it.

    Args:
        recipe: Stays as it is.
        name: Dotted key without ``init_args``, such as ``objective.optimizer.lr``.
        value: Of the key.
        place: Where it was said, for messages.

    Raises:
        RecipeError: The key cannot be set.
    """
    changed = Recipe(copy.deepcopy(recipe.values), dict(recipe.places))
    _set(changed, name, value, place)
    return changed


def _with_imports(path: Path, above: tuple[Path, ...]) -> Recipe:
    if path in above:
        chain = " → ".join(shown(p) for p in (*above[above.index(path) :], path))
        raise RecipeError(f"recipes import each other in a circle: {chain}")
    own = read_yaml(path)
    imports = own.values.pop("import", None) or []
    merged = Recipe()
    for i, name in enumerate([imports] if isinstance(imports, str) else imports):
        if not isinstance(name, str):
            raise own.error(("import", i), f"expected the path of a recipe, found {name!r}")
        base = (path.parent / name).resolve()
        try:
            _merge(merged, _with_imports(base, (*above, path)))
        except RecipeError as error:
            if base.is_file():
                raise
            raise own.error(("import", i), str(error)) from error
    plugins = own.values.get("plugins")
    if plugins is not None:
        own.values["plugins"] = _plugin_list(own, plugins, path.parent)
    _merge(merged, own)
    return merged


def _plugin_list(recipe: Recipe, plugins: Any, folder: Path) -> list[str]:
    found = [plugins] if isinstance(plugins, str) else plugins
    if not isinstance(found, list) or not all(isinstance(p, str) for p in found):
        raise recipe.error(("plugins",), f"expected a list of .py files or modules, found {plugins!r}")
    return [str((folder / p).resolve()) if p.endswith(".py") else p for p in found]


def _merge(base: Recipe, top: Recipe) -> None:
    """Lay ``top`` over ``base``, in place."""
    plugins = [*base.values.get("plugins", []), *top.values.get("plugins", [])]
    base.values = _merged(base, base.values, top, top.values, ())
    if plugins:
        base.values["plugins"] = list(dict.fromkeys(plugins))


def _merged(base: Recipe, old: Any, top: Recipe, new: Any, key: Key) -> Any:
    if isinstance(old, str) and isinstance(new, dict) and "init_args" in new and "class_path" not in new:
        old = {"class_path": old}  # the short form of a part, now given arguments
    if isinstance(old, dict) and isinstance(new, dict) and not _other_class(old, new):
        if key in top.places:
            base.places[key] = top.places[key]
        result = dict(old)
        for name, value in new.items():
            result[name] = _merged(base, old.get(name), top, value, (*key, name))
        return result
    if isinstance(old, dict) and isinstance(new, str) and old.get("class_path") == new:
        return old
    base.replace_places(key, {k: p for k, p in top.places.items() if k[: len(key)] == key})
    return new


def _other_class(old: dict[str, Any], new: dict[str, Any]) -> bool:
    return "class_path" in old and "class_path" in new and old["class_path"] != new["class_path"]


def _override(recipe: Recipe, name: str, text: str) -> None:
    value = read_value(text)
    place = "command line"
    if name == "plugins":
        added = _plugin_list(Recipe(places={(): place}), value, Path.cwd())
        known = recipe.values.get("plugins", [])
        recipe.values["plugins"] = list(dict.fromkeys([*known, *added]))
        return
    _set(recipe, name, value, place)


def _set(recipe: Recipe, name: str, value: Any, place: str) -> None:
    """Set one dotted key; a part is descended into through its ``init_args``, said or not."""
    *above, word = name.split(".")
    words = [*(each for each in above if each != "init_args"), word]
    here: Any = recipe.values
    key: Key = ()
    for each in words[:-1]:
        here, key = _descend(here, key, each)
        if not isinstance(here, dict | list):
            raise RecipeError(f"{place}: --{name}: '{dotted(key)}' is {here!r} and has no keys under it")
    holder, key = _into_part(here, key)
    last = _index(holder, words[-1], name)
    old = holder[last] if isinstance(holder, list) else holder.get(last)
    key = (*key, last)
    if isinstance(old, dict) and "class_path" in old and isinstance(value, str) and value != "null":
        if old["class_path"] == value:
            value = old
        elif "." in value:  # a class; any other word may be a part's name, or `auto` for a strategy's class
            value = {"class_path": value}
    holder[last] = value
    recipe.replace_places(key, {key: place})


def _descend(here: Any, key: Key, word: str) -> tuple[Any, Key]:
    holder, key = _into_part(here, key)
    index = _index(holder, word, ".".join(str(k) for k in (*key, word)))
    if isinstance(holder, dict):
        if holder.get(index) is None:
            holder[index] = {}
        elif isinstance(holder[index], str):
            holder[index] = {"class_path": holder[index]}
    return holder[index], (*key, index)


def _into_part(here: Any, key: Key) -> tuple[Any, Key]:
    # a part without a class yet is what several arms of a comparison share
    if isinstance(here, dict) and ("class_path" in here or "init_args" in here):
        here["init_args"] = here.get("init_args") or {}
        return here["init_args"], (*key, "init_args")
    return here, key


def _index(holder: Any, word: str, name: str) -> Any:
    if isinstance(holder, dict):
        return word
    if not word.isdigit() or int(word) >= len(holder):
        raise RecipeError(
            f"command line: --{name}: expected the number of an item, 0 to {len(holder) - 1}, found '{word}'"
        )
    return int(word)
