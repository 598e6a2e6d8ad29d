"""What training and evaluating a run share: its parts, built once, and how a trainer is called."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from jepa_vl import registry
from jepa_vl.callbacks.defaults import progress_bar
from jepa_vl.checkpoint import initialise
from jepa_vl.cli.build import Parts, build, make_parser, make_trainer, parse
from jepa_vl.data.base import SampleData
from jepa_vl.objectives.base import Objective

#: Of the recipe's trainer, what an evaluation takes over.
MACHINE = ("accelerator", "devices", "num_nodes", "strategy", "precision", "limit_test_batches")


def build_parts(values: dict[str, Any]) -> tuple[Parts, str]:
    """Build what a resolved recipe describes; returns the recipe as YAML too.

    Raises:
        UserError: A part is not installed here, or refuses its arguments.
    """
    registry.load_local(values.get("plugins") or [])
    parser = make_parser()
    config = parse(parser, copy.deepcopy(values))  # it changes its input
    config.pop("ckpt_path", None)
    recipe = parser.dump(config, skip_none=False)
    parts = build(parser, config)
    if config.init_from:
        initialise(parts.objective, config.init_from)
    return parts, recipe


def fit(
    parts: Parts,
    callbacks: Sequence[Callback],
    *,
    folder: Path,
    name: str,
    recipe: str,
    best: bool = False,
) -> None:
    """Train, from ``last.ckpt`` on if the folder has one.

    Args:
        parts: What is trained.
        callbacks: Besides the recipe's; one takes the place of a default one of its class.
        folder: Of the run.
        name: Of the run.
        recipe: As YAML.
        best: Whether the best checkpoint is kept too; what is compared is a budget, not a choice.

    Raises:
        KeyboardInterrupt: It was stopped; the same call goes on.
    """
    own = parts.trainer.get("callbacks") or []
    own = list(own) if isinstance(own, list | tuple) else [own]
    # the summary is in the report, and would be printed for every run
    options = {**parts.trainer, "callbacks": [*own, *callbacks], "enable_model_summary": False}
    with_callbacks = Parts(parts.objective, parts.data, parts.tasks, options)
    trainer = make_trainer(with_callbacks, folder=folder, name=name, recipe=recipe)
    if not best:
        kept: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        kept[:] = [callback for callback in kept if not isinstance(callback, ModelCheckpoint)]
    last = folder / "checkpoints" / "last.ckpt"
    run(trainer, "fit", parts.objective, parts.data, ckpt_path=last if last.exists() else None)


def evaluation_trainer(options: dict[str, Any], callbacks: Sequence[Callback], **more: Any) -> Trainer:
    """Return a trainer for evaluations, on the machine that the recipe's ``trainer`` names."""
    kept = {key: options[key] for key in MACHINE if options.get(key) is not None}
    return Trainer(
        **{**kept, **more},
        logger=False,
        enable_checkpointing=False,
        callbacks=[*callbacks, progress_bar()],
        use_distributed_sampler=False,
        enable_model_summary=False,
    )


def run(trainer: Trainer, verb: str, objective: Objective, data: SampleData, **options: Any) -> None:
    """Call a verb of the trainer.

    Raises:
        KeyboardInterrupt: Ctrl-C, which Lightning would make an exit or nothing at all.
    """
    try:
        getattr(trainer, verb)(objective, datamodule=data, **options)
    except SystemExit:
        if not trainer.interrupted:
            raise
    if trainer.interrupted:
        raise KeyboardInterrupt
