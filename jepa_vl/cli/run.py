"""One run: recipe → parts → trainer → ``fit``, ``validate``, ``test`` or ``predict``."""

from __future__ import annotations

import logging
import shlex
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path

from lightning import Trainer
from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from transformers.utils.logging import disable_progress_bar

from jepa_vl.checkpoint import check_checkpoint, checkpoint_file, explain_checkpoint, initialise
from jepa_vl.cli.argv import Arguments
from jepa_vl.cli.build import Parts, build, make_parser, make_trainer, parse
from jepa_vl.errors import RecipeError, UserError
from jepa_vl.recipe import Recipe
from jepa_vl.recipe.resolve import resolve
from jepa_vl.runs import best_or_last, find_checkpoint, make_room, run_folder, take_back

INTERRUPTED = 130  # the shell's status of a command stopped by Ctrl-C


def run(verb: str, arguments: Arguments, recipe: Recipe) -> int:
    """Do what a command line says; returns the exit status.

    Args:
        verb: What to do.
        arguments: The command line.
        recipe: What its recipes and overrides say together.

    Raises:
        UserError: What the user can mend.
    """
    quiet()
    values = resolve(recipe)
    values["name"] = values.get("name") or _default_name(arguments)
    folder = run_folder(values["name"])
    parser = make_parser()
    config = parse(parser, values)
    if arguments.print_config:
        sys.stdout.write(parser.dump(config, skip_none=False))
        return 0
    trained = is_trained(values["objective"]["class_path"])
    if verb == "fit" and not trained:
        name = values["objective"]["class_path"].rpartition(".")[2]
        raise RecipeError(f"objective {name} is for evaluation: it has nothing to train; use `jepa-vl test`")
    wanted = config.pop("ckpt_path") or (None if verb == "fit" or not trained else best_or_last(folder))
    checkpoint = find_checkpoint(wanted, folder) if wanted else None
    start = config.init_from if verb == "fit" and checkpoint is None else None
    if start is not None:
        checkpoint_file(start)  # before anything is built
    whole = parser.dump(config, skip_none=False)
    parts = build(parser, config)
    if start is not None:
        initialise(parts.objective, start)
    begins = verb == "fit" and checkpoint is None and not parts.trainer.get("fast_dev_run")
    with _room_for_run(folder) if begins else nullcontext():
        trainer = make_trainer(parts, folder=folder, name=config.name, recipe=whole)
        return _train(verb, trainer, parts, checkpoint, arguments, folder)


def is_trained(class_path: str) -> bool:
    """Whether an objective learns, and is evaluated from a checkpoint; a system is taken as it is."""
    module, _, name = class_path.rpartition(".")
    return bool(getattr(getattr(import_module(module), name), "trained", True))


def _train(
    verb: str, trainer: Trainer, parts: Parts, checkpoint: Path | None, arguments: Arguments, folder: Path
) -> int:
    # predictions are written as they come, and need not be returned
    more = {"return_predictions": False} if verb == "predict" else {}
    if checkpoint is not None:
        sharded = isinstance(trainer.strategy, ModelParallelStrategy)
        check_checkpoint(checkpoint, sharded=sharded, trained=verb == "fit")
    try:
        getattr(trainer, verb)(parts.objective, datamodule=parts.data, ckpt_path=checkpoint, **more)
    except SystemExit:
        if not trainer.interrupted:
            raise
    except RuntimeError as error:
        if checkpoint is None:
            raise
        known = explain_checkpoint(error, checkpoint, type(parts.objective).__name__)
        if known is None:
            raise
        raise known from error
    if not trainer.interrupted:
        return 0
    if verb == "fit":
        _say(_how_to_go_on(arguments, folder))
    return INTERRUPTED


def _how_to_go_on(arguments: Arguments, folder: Path) -> str:
    try:
        find_checkpoint("last", folder)
    except UserError:
        return "stopped before the first checkpoint"
    words = ["jepa-vl", "fit"]
    for config in arguments.configs:
        words += ["--config", config]
    for key, value in arguments.overrides:
        if key != "ckpt_path":
            words += [f"--{key}", value]
    return f"stopped; go on with: {shlex.join([*words, '--ckpt_path', 'last'])}"


def _default_name(arguments: Arguments) -> str:
    return Path(arguments.configs[-1]).stem if arguments.configs else "run"


@contextmanager
def _room_for_run(folder: Path) -> Iterator[None]:
    """Keep an earlier run under a number; it keeps its name if the new one does not come to train."""
    kept = rank_zero_only(make_room)(folder)
    if kept is not None:
        _say(f"the earlier run in {folder} is now {kept}")
    try:
        yield
    finally:
        if kept is not None and take_back(kept, folder):
            _say(f"nothing was trained: the earlier run is in {folder} again")


@rank_zero_only
def _say(message: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(message, markup=False)


def quiet() -> None:
    """Show our own messages and Lightning's warnings, not its advertisements."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("jepa_vl").setLevel(logging.INFO)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # says which process of a run was killed, before it ends the others
    logging.getLogger("lightning.fabric.strategies.launchers.subprocess_script").setLevel(logging.INFO)
    for expected in (
        "does not have many workers",
        r"module\(s\) in eval mode at the start of training",  # the frozen parts
        "exists and is not empty",  # the checkpoints of a run that goes on
        "Total length of `_Parts`",  # a preparation of which all shards are written
        "treespec, LeafSpec",  # Lightning's own use of an old torch function
    ):
        warnings.filterwarnings("ignore", f".*{expected}.*")
    disable_progress_bar()  # transformers draws one for each model it loads
