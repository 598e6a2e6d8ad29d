"""`RecipeRecord`: the resolved recipe goes into the run's folder and into each of its checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from jepa_vl import __version__
from jepa_vl.runs import RECIPE
from jepa_vl.whole_file import write_whole


class RecipeRecord(Callback):
    """Writes ``config.yaml``, from which ``--config`` runs the same again.

    Args:
        folder: The run's folder.
        name: Its name.
        recipe: The resolved recipe as YAML.
    """

    def __init__(self, *, folder: Path, name: str, recipe: str) -> None:
        self.folder = folder
        self.name = name
        self.recipe = recipe

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the recipe once all is well, so that a resume that fails leaves the run's own recipe."""
        if trainer.is_global_zero:
            write_whole(self.folder / RECIPE, self.recipe)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Say in the checkpoint what it was made by."""
        checkpoint["jepa_vl"] = {
            "version": __version__,
            "name": self.name,
            "objective": type(pl_module).__name__,
            "recipe": self.recipe,
        }
