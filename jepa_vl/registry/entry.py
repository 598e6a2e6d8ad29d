"""`Entry`: one registered part, where it comes from, and how it is imported."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jepa_vl.errors import RecipeError, UserError
from jepa_vl.registry.groups import GROUPS

BUILT_IN, PLUGIN = "built-in", "plugin"


@dataclass(frozen=True)
class Entry:
    """A name in the table. Nothing is imported until `load`.

    Attributes:
        group: Short name of the group.
        name: What a recipe calls it.
        target: ``module:Class``.
        origin: ``built-in``, ``plugin`` (an installed distribution) or the path of a file.
        distribution: Name of the distribution of a plugin.
        version: Its version.
    """

    group: str
    name: str
    target: str
    origin: str
    distribution: str | None = None
    version: str | None = None

    @property
    def source(self) -> str:
        """Where it comes from, for people: ``jepa-vl-timm 0.1.0``, ``built-in`` or a path."""
        if self.distribution is not None:
            return f"{self.distribution} {self.version}"
        if self.origin == BUILT_IN:
            return BUILT_IN
        path = Path(self.origin)
        return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else self.origin

    @property
    def class_path(self) -> str:
        """The target as a recipe's ``class_path``, with a dot instead of the colon."""
        return self.target.replace(":", ".")

    def load(self) -> Any:
        """Import the part and check it against the contract of its group.

        Raises:
            RecipeError: It cannot be imported, or it is not what its group holds.
        """
        part = self._import()
        if not callable(part):
            raise RecipeError(f"{self._described} is a {type(part).__name__}, not a class or function")
        base = _import_target(GROUPS[self.group].base)
        if isinstance(base, type) and not (isinstance(part, type) and issubclass(part, base)):
            raise RecipeError(
                f"{self._described} is not a {base.__name__}, the contract of group '{self.group}' "
                f"({base.__module__}.{base.__name__})"
            )
        return part

    def _import(self) -> Any:
        try:
            return _import_target(self.target)
        except UserError:
            raise
        # whatever a plugin does wrong while it is imported harms itself only
        except (Exception, SystemExit) as error:
            raise RecipeError(
                f"{self._described} cannot be loaded: {type(error).__name__}: {error}"
            ) from error

    @property
    def _described(self) -> str:
        kind = "built-in part" if self.origin == BUILT_IN else f"plugin {self.source}:"
        return f"{kind} '{self.name}' of group '{self.group}' ({self.target})"


def _import_target(target: str) -> Any:
    module, _, qualname = target.partition(":")
    part: Any = importlib.import_module(module)
    for name in qualname.split("."):
        part = getattr(part, name)
    return part
