"""The table of names: built-in parts, installed plugins (metadata only) and registered classes."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib import metadata
from typing import Any, TypeVar

from jepa_vl.errors import RecipeError, did_you_mean
from jepa_vl.registry.entry import BUILT_IN, PLUGIN, Entry
from jepa_vl.registry.groups import GROUPS, Group

Part = TypeVar("Part", bound=Callable[..., Any])


class Table:
    """(group, name) → entries. More than one entry is a collision, an error when the name is used."""

    def __init__(self) -> None:
        self._registered: dict[tuple[str, str, str], Entry] = {}
        self._discovered: list[Entry] | None = None

    def register(self, group: str, name: str) -> Callable[[Part], Part]:
        """Return a decorator that names a class (or, in group ``weights``, a function).

        A class that is built in, or an entry point, under the same name stays one entry.

        Raises:
            RecipeError: There is no such group.
        """
        known_group(group)

        def decorate(part: Part) -> Part:
            target = f"{part.__module__}:{part.__qualname__}"
            module = sys.modules.get(part.__module__)
            origin = getattr(module, "__file__", None) or part.__module__
            entry = Entry(group, name, target, origin)
            # a module that is imported afresh takes the place of its former self
            self._registered[group, name, target] = entry
            return part

        return decorate

    def entries(self, group: str | None = None) -> list[Entry]:
        """Every known part, of one group or of all, by group and name; colliding ones too."""
        if group is not None:
            known_group(group)
        if self._discovered is None:
            self._discovered = [*_built_in(), *_installed()]
        found = list(self._discovered)
        targets = {(e.group, e.name, e.target) for e in found}
        for entry in self._registered.values():
            # the decorator on a built-in or installed class adds nothing
            if (entry.group, entry.name, entry.target) not in targets:
                found.append(entry)
        order = list(GROUPS)
        chosen = [e for e in found if group in (None, e.group)]
        return sorted(chosen, key=lambda e: (order.index(e.group), e.name))

    def names(self, group: str) -> list[str]:
        """Names of a group, sorted."""
        return sorted({e.name for e in self.entries(group)})

    def entry(self, group: str, name: str) -> Entry:
        """Return the one entry of a name.

        Raises:
            RecipeError: The name is unknown, or two parts have it.
        """
        found = [e for e in self.entries(group) if e.name == name]
        if not found:
            raise RecipeError(f"unknown name '{name}' in group '{group}'; {self._elsewhere(group, name)}")
        if len(found) > 1:
            both = " and ".join(f"{e.source} ({e.class_path})" for e in found)
            raise RecipeError(
                f"'{name}' of group '{group}' is registered {len(found)} times: by {both}; "
                "uninstall or rename one, or write the full class path in the recipe"
            )
        return found[0]

    def get(self, group: str, name: str) -> Any:
        """Import and return the part of a name.

        Raises:
            RecipeError: The name is unknown, two parts have it, or the part cannot be loaded.
        """
        return self.entry(group, name).load()

    def _elsewhere(self, group: str, name: str) -> str:
        others = [g for g in GROUPS if g != group and name in self.names(g)]
        if others:
            return f"'{name}' is in group '{others[0]}'; {did_you_mean(name, self.names(group))}"
        return did_you_mean(name, self.names(group))


def known_group(name: str) -> Group:
    """Return a group by its short name.

    Raises:
        RecipeError: There is none.
    """
    if name not in GROUPS:
        raise RecipeError(f"unknown group '{name}'; {did_you_mean(name, GROUPS)}")
    return GROUPS[name]


def _built_in() -> list[Entry]:
    return [
        Entry(group.name, name, target, BUILT_IN)
        for group in GROUPS.values()
        for name, target in group.built_in.items()
    ]


def _installed() -> list[Entry]:
    # one distribution may be found twice, as an editable and an ordinary install: the first on the path
    # is the one that Python imports
    found: dict[tuple[str, str, str], Entry] = {}
    for group in GROUPS.values():
        for point in metadata.entry_points(group=group.entry_point_group):
            distribution = point.dist.name if point.dist else "unknown"
            version = point.dist.version if point.dist else "unknown"
            normal = re.sub(r"[-_.]+", "-", distribution).lower()
            entry = Entry(group.name, point.name, point.value, PLUGIN, distribution, version)
            found.setdefault((group.name, point.name, normal), entry)
    return list(found.values())
