"""The models of a comparison: trained runs, and recipes of systems that need no training."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from jepa_vl import registry
from jepa_vl.checkpoint import build_objective, checkpoint_file, load_objective
from jepa_vl.errors import RecipeError, UserError, did_you_mean
from jepa_vl.objectives.base import Objective
from jepa_vl.recipe import load_recipe
from jepa_vl.recipe.resolve import resolve_part

RECIPES = (".yaml", ".yml")


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from.

    Attributes:
        name: Its row in the table.
        path: Folder of a run, a checkpoint, or a recipe.
    """

    name: str
    path: Path

    @classmethod
    def parse(cls, text: str) -> ModelSource:
        """Read ``PATH`` or ``NAME=PATH``.

        Raises:
            RecipeError: There is nothing at the path.
        """
        name, equals, rest = text.partition("=")
        path = Path(rest if equals else text)
        if not path.exists():
            near = [str(p) for p in path.parent.iterdir()] if path.parent.is_dir() else []
            raise RecipeError(
                f"--model {text}: there is no run folder, checkpoint or recipe '{path}'; "
                f"{did_you_mean(str(path), near) if near else f'there is no folder {path.parent} either'}"
            )
        if equals:
            return cls(name, path)
        if path.parent.name == "checkpoints":
            return cls(path.parent.parent.name, path)
        return cls(path.name if path.is_dir() else path.stem, path)

    @property
    def key(self) -> str:
        """Hash of what it is: the recipe's text with its imports, or which checkpoint, of what time."""
        if self.path.suffix in RECIPES:
            text = repr(load_recipe([self.path]).values)
        else:
            file = checkpoint_file(self.path)
            stat = file.stat()
            text = f"{file.resolve()} {stat.st_size} {stat.st_mtime_ns}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def load(self) -> Objective:
        """Build it, in eval mode.

        Raises:
            UserError: It is no model, or its parts cannot be built here.
        """
        if self.path.suffix in RECIPES:
            recipe = load_recipe([self.path])
            if recipe.values.get("objective") is None:
                raise UserError(f"{self.path} has no 'objective': it is not the recipe of a model")
            registry.load_local(recipe.values.get("plugins") or [])
            part = resolve_part(recipe, ("objective",), "objectives", recipe.values["objective"])
            objective = build_objective({"objective": part})
            if getattr(objective, "trained", True):
                raise UserError(
                    f"{self.path} is the recipe of a model that is trained: give its run "
                    f"(runs/{recipe.values.get('name') or self.path.stem}) instead, "
                    f"after `jepa-vl fit --config {self.path}`"
                )
            return objective.eval()
        return load_objective(self.path)
