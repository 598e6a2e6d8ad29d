"""One run: recipe → parts → trainer → ``fit``, ``validate``, ``test`` or ``predict``."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path

from lightning import Trainer
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from transformers.utils.logging import disable_progress_bar

from jepa_vl.cli.argv import Arguments
from jepa_vl.cli.build import Parts, build, make_parser, make_trainer, parse
from jepa_vl.cli.explain import explain_checkpoint
from jepa_vl.cli.runs import find_checkpoint, make_room, run_folder
from jepa_vl.recipe import load_recipe
from jepa_vl.recipe.resolve import resolve


def run(verb: str, arguments: Arguments) -> int:
    """Do what a command line says; returns the exit status.

    Raises:
        UserError: What the user can mend.
    """
    _quiet()
    values = resolve(load_recipe(arguments.configs, arguments.overrides))
    values["name"] = values.get("name") or _default_name(arguments)
    folder = run_folder(values["name"])
    parser = make_parser()
    config = parse(parser, values)
    if arguments.print_config:
        sys.stdout.write(parser.dump(config))
        return 0
    wanted = config.pop("ckpt_path") or (None if verb == "fit" else "best")
    checkpoint = find_checkpoint(wanted, folder) if wanted else None
    recipe = parser.dump(config)
    parts = build(parser, config)
    if verb == "fit" and checkpoint is None and not parts.trainer.get("fast_dev_run"):
        _keep_earlier_run(folder)
    trainer = make_trainer(parts, folder=folder, name=config.name, recipe=recipe)
    return _train(verb, trainer, parts, checkpoint, arguments)


def _train(verb: str, trainer: Trainer, parts: Parts, checkpoint: Path | None, arguments: Arguments) -> int:
    try:
        getattr(trainer, verb)(parts.objective, datamodule=parts.data, ckpt_path=checkpoint)
    except SystemExit:
        if not trainer.interrupted:
            raise
    except RuntimeError as error:
        if checkpoint is None or (known := explain_checkpoint(error, checkpoint, _name_of(parts))) is None:
            raise
        raise known from error
    if trainer.interrupted:
        if verb == "fit":
            configs = "".join(f" --config {c}" for c in arguments.configs)
            changes = "".join(f" --{k} {v}" for k, v in arguments.overrides if k != "ckpt_path")
            _say(f"stopped; go on with: jepa-vl fit{configs}{changes} --ckpt_path last")
        return 130
    return 0


def _default_name(arguments: Arguments) -> str:
    return Path(arguments.configs[-1]).stem if arguments.configs else "run"


def _name_of(parts: Parts) -> str:
    return type(parts.objective).__name__


@rank_zero_only
def _keep_earlier_run(folder: Path) -> None:
    kept = make_room(folder)
    if kept is not None:
        _say(f"the earlier run in {folder} is now {kept}")


@rank_zero_only
def _say(message: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(message, markup=False)


def _quiet() -> None:
    """Show our own messages and Lightning's warnings, not its advertisements."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("jepa_vl").setLevel(logging.INFO)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for expected in (
        "does not have many workers",
        r"module\(s\) in eval mode at the start of training",  # the frozen parts
        "exists and is not empty",  # the checkpoints of a run that goes on
        "treespec, LeafSpec",  # Lightning's own use of an old torch function
    ):
        warnings.filterwarnings("ignore", f".*{expected}.*")
    disable_progress_bar()  # transformers draws one for each model it loads
