"""What two recipes or arms say differently, key by key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jepa_vl.recipe.document import Key, dotted


class _Unset:
    """The value of a key that a recipe does not say: its default, or nothing where there is no such part."""

    def __repr__(self) -> str:
        return "not set"


UNSET = _Unset()


@dataclass(frozen=True)
class Difference:
    """A key, and what each recipe says there.

    Attributes:
        key: Dotted, without ``class_path`` and ``init_args``: ``objective.predictor.layers``.
        values: In the order of the recipes; `UNSET` where one does not say it.
    """

    key: str
    values: tuple[Any, ...]


def flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return every value that is no mapping by its dotted key; a part's class stands at the part's own key.

    A list of parts is gone through by number, ``tasks.0``; a list of numbers or words is one value.
    """
    found: dict[str, Any] = {}
    _walk(values, (), found)
    return found


def _walk(value: Any, key: Key, found: dict[str, Any]) -> None:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _walk(inner, (*key, name), found)
        if not value and key and key[-1] != "init_args":
            found[dotted(key)] = {}
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for i, item in enumerate(value):
            _walk(item, (*key, i), found)
    else:
        found[dotted(key)] = value


def differences(recipes: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """Return the keys at which recipes differ, in the order in which they stand, the first recipe's first."""
    flat = [flatten(recipe) for recipe in recipes]
    keys = list(dict.fromkeys(key for each in flat for key in each))
    found = [Difference(key, tuple(each.get(key, UNSET) for each in flat)) for key in keys]
    return [each for each in found if not _equal(each.values)]


def _equal(values: Sequence[Any]) -> bool:
    return all(value is values[0] or _same(value, values[0]) for value in values)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return list(one) == list(other)
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def within(key: str, names: Sequence[str]) -> bool:
    """Whether a dotted key is one of ``names`` or lies below one."""
    return any(key == name or key.startswith(f"{name}.") for name in names)


def folded(found: Sequence[Difference]) -> list[Difference]:
    """Tell a part that some recipes do not have as one difference: its class and all its arguments.

    The values are texts, and the last word stands for a class path.
    """
    kept: dict[str, list[list[str]]] = {}
    unset: dict[str, tuple[bool, ...]] = {}
    for each in found:
        missing = tuple(value is UNSET for value in each.values)
        whole = next(
            (k for k in kept if within(each.key, [k]) and any(missing) and unset[k] == missing), None
        )
        told = [[] if value is UNSET else [_text(value)] for value in each.values]
        if whole is None:
            kept[each.key], unset[each.key] = told, missing
            continue
        inner = each.key.removeprefix(f"{whole}.")
        for words, value in zip(kept[whole], told, strict=True):
            words.extend(f"{inner} {text}" for text in value)
    return [
        Difference(key, tuple(", ".join(words) or repr(UNSET) for words in values))
        for key, values in kept.items()
    ]


def _text(value: Any) -> str:
    is_class = isinstance(value, str) and "." in value and value.rpartition(".")[2][:1].isupper()
    return value.rpartition(".")[2] if is_class else str(value)
