"""Recipe → objective, data, tasks and trainer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, Namespace
from lightning import Callback, Trainer, seed_everything
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Checkpoint, LearningRateMonitor, ProgressBar
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.loggers import TensorBoardLogger

from jepa_vl.callbacks.defaults import default_callbacks
from jepa_vl.checkpoint_io import keep_whole
from jepa_vl.cli.predictions import Predictions
from jepa_vl.cli.record import RecipeRecord
from jepa_vl.data.base import SampleData
from jepa_vl.errors import RecipeError, user_error_in
from jepa_vl.objectives.base import Objective
from jepa_vl.recipe.resolve import PLAIN
from jepa_vl.runs import RUNS
from jepa_vl.tasks.base import Task

#: What Lightning divides by, and does not look at.
ONE_OR_MORE = ("accumulate_grad_batches", "val_check_interval", "check_val_every_n_epoch")


@dataclass
class Parts:
    """What a recipe describes, built."""

    objective: Objective
    data: SampleData
    tasks: list[Task]
    trainer: dict[str, Any]


def make_parser() -> LightningArgumentParser:
    """Return the parser that converts every value to its type and builds the parts."""
    parser = LightningArgumentParser(exit_on_error=False)
    for argument in PLAIN.values():
        parser.add_argument(f"--{argument.name}", type=argument.hint | None, default=argument.default)
    parser.add_lightning_class_args(Objective, "objective", subclass_mode=True)
    parser.add_lightning_class_args(SampleData, "data", subclass_mode=True)
    parser.add_argument("--tasks", type=list[Task], default=[])
    parser.add_lightning_class_args(Trainer, "trainer")
    # the data modules share out the samples of a batch among processes themselves
    parser.set_defaults({"trainer.use_distributed_sampler": False})
    return parser


def parse(parser: LightningArgumentParser, values: dict[str, Any]) -> Namespace:
    """Convert a resolved recipe's values to their types.

    Raises:
        RecipeError: What `resolve` cannot see, a wrong value deep inside a Lightning object say.
    """
    try:
        return parser.parse_object(values)
    except ArgumentError as error:
        lines = [line.strip(" -") for line in str(error).splitlines()]
        raise RecipeError("the recipe is wrong: " + " ".join(line for line in lines if line)) from error


def build(parser: LightningArgumentParser, config: Namespace) -> Parts:
    """Seed every generator and build the parts, always in the same order.

    Raises:
        UserError: A part refuses its arguments.
        RecipeError: The seed is out of range.
    """
    if not 0 <= config.seed_everything < 2**32:
        raise RecipeError(f"seed_everything must be from 0 to {2**32 - 1}, found {config.seed_everything}")
    seed_everything(config.seed_everything, workers=True, verbose=False)
    try:
        built = parser.instantiate_classes(config)
    except Exception as error:
        # jsonargparse wraps what a constructor raises into errors of its own, with the whole recipe
        known = user_error_in(error)
        if known is None:
            raise
        raise known from None
    built.data.attach(built.objective)
    return Parts(built.objective, built.data, list(built.tasks), dict(built.trainer))


def make_trainer(parts: Parts, *, folder: Path, name: str, recipe: str) -> Trainer:
    """Return the trainer with our callbacks and logger, where the recipe does not bring its own.

    Raises:
        RecipeError: Lightning refuses a value, or would go wrong by it.
    """
    options = dict(parts.trainer)
    for key in ONE_OR_MORE:
        if isinstance(value := options.get(key), int) and value < 1:
            raise RecipeError(f"trainer.{key} must be 1 or more, found {value}")
    if options.get("logger") is None or options["logger"] is True:
        options["logger"] = TensorBoardLogger(save_dir=RUNS, name=name, version="")
    if options.get("default_root_dir") is None:
        options["default_root_dir"] = folder
    own = options.get("callbacks") or []
    own = list(own) if isinstance(own, list | tuple) else [own]
    defaults = [
        callback
        for callback in default_callbacks(run_dir=folder, tasks=parts.tasks, data=parts.data)
        if _wanted(callback, options) and not any(_replaces(o, callback) for o in own)
    ]
    record = RecipeRecord(folder=folder, name=name, recipe=recipe)
    predictions = Predictions(folder=folder, data=parts.data)
    options["callbacks"] = [record, predictions, *own, *defaults]
    try:
        return keep_whole(Trainer(**options))
    except (MisconfigurationException, TypeError, ValueError) as error:
        raise RecipeError(f"trainer: {error}") from error


def _replaces(own: Callback, default: Callback) -> bool:
    """Whether a recipe's own callback takes the place of one of ours; there is one progress bar at most."""
    return type(own) is type(default) or (isinstance(own, ProgressBar) and isinstance(default, ProgressBar))


def _wanted(callback: Callback, options: dict[str, Any]) -> bool:
    """Lightning refuses a callback that the trainer's own switches turn off."""
    if isinstance(callback, Checkpoint):
        return options.get("enable_checkpointing") is not False
    if isinstance(callback, ProgressBar):
        return options.get("enable_progress_bar") is not False
    if isinstance(callback, LearningRateMonitor):
        return options.get("logger") is not False
    return True
