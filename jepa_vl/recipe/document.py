"""`Recipe`: values and, for error messages, the file and line that each came from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from jepa_vl.errors import RecipeError, did_you_mean

Key = tuple[str | int, ...]


@dataclass
class Recipe:
    """Nested values, and where each key stands.

    Attributes:
        values: What the YAML says, imports merged.
        places: Key → ``file:line``; a key without a place of its own stands where its parent does.
    """

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Key, str] = field(default_factory=dict)

    def error(self, key: Key, message: str) -> RecipeError:
        """Return an error that names the file and line, the key, and what is wrong with it."""
        place = self.place(key)
        return RecipeError(": ".join(part for part in (place, dotted(key), message) if part))

    def place(self, key: Key) -> str:
        """Return ``file:line`` of a key, or of the nearest key above it."""
        for end in range(len(key), -1, -1):
            if key[:end] in self.places:
                return self.places[key[:end]]
        return ""

    def below(self, key: Key) -> Recipe:
        """Return the mapping at ``key`` as a recipe of its own, whose messages name the same places."""
        values: Any = self.values
        for word in key:
            values = values[word]
        places = {k[len(key) :]: place for k, place in self.places.items() if k[: len(key)] == key}
        return Recipe(values or {}, places)

    def replace_places(self, key: Key, places: dict[Key, str]) -> None:
        """Forget where ``key`` and what is under it stood, and take ``places`` instead."""
        for old in [k for k in self.places if k[: len(key)] == key]:
            del self.places[old]
        self.places.update(places)


def dotted(key: Key) -> str:
    """``objective.loss.temperature``: a key as it is written on the command line."""
    return ".".join(str(part) for part in key if part not in ("class_path", "init_args"))


def shown(path: Path) -> str:
    """A path as a reader would name it: relative to the working directory where it lies below it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def read_yaml(path: Path) -> Recipe:
    """Read one YAML file, without its imports.

    Raises:
        RecipeError: It is missing, is not YAML, is no mapping, or says a key twice.
    """
    if not path.is_file():
        siblings = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise RecipeError(f"recipe {shown(path)} does not exist; {did_you_mean(path.name, siblings)}")
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if node is None:
            return Recipe()
        if not isinstance(node, yaml.MappingNode):
            raise RecipeError(f"{shown(path)}: expected `key: value` lines, found one value or a list")
        places: dict[Key, str] = {}
        _walk(node, (), shown(path), places)
        values = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        problem = error.problem or error.context or "not YAML"
        raise RecipeError(f"{shown(path)}{line}: not valid YAML: {problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{shown(path)}: not valid YAML: {error}") from error
    return Recipe(values, places)


def read_value(text: str) -> Any:
    """Read a value of the command line: a list or a mapping as YAML, anything else as it stands.

    What a word means (``5``, ``true``, ``null``) is left to the type of the argument it is for.
    """
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError:
        return text
    return value if isinstance(value, dict | list) else text


class _Loader(yaml.SafeLoader):
    """YAML 1.1, except that ``1e-3`` is a number, as in YAML 1.2."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def _walk(node: yaml.Node, key: Key, file: str, places: dict[Key, str]) -> None:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            child = (*key, name.value)
            line = name.start_mark.line + 1
            if child in places and name.value != "<<":
                raise RecipeError(
                    f"{file}:{line}: {dotted(child)}: this key stands twice, first at {places[child]}"
                )
            places[child] = f"{file}:{line}"
            _walk(value, child, file, places)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            places[*key, i] = f"{file}:{value.start_mark.line + 1}"
            _walk(value, (*key, i), file, places)
