"""What benchmarks of training share: a recipe's parts, a trainer of bare steps, and when each step ended."""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lightning import Callback, Trainer

from jepa_vl.cli.build import Parts, build, make_parser, parse
from jepa_vl.recipe import load_recipe
from jepa_vl.recipe.resolve import resolve

SKIPPED = 3  # steps of each turn that are not timed


class Clock(Callback):
    """Notes when each step ended.

    Args:
        now: Seconds; by default this process's own on the processor, which other work on the machine hardly
            changes.
    """

    def __init__(self, now: Callable[[], float] = time.process_time) -> None:
        self.now = now
        self.ends: list[float] = []

    def note(self) -> None:
        """A step has ended."""
        self.ends.append(self.now())

    def on_train_batch_end(self, *_: Any) -> None:
        """Note the time."""
        self.note()

    @property
    def speed(self) -> float:
        """Steps a second, without the first ones."""
        return (len(self.ends) - SKIPPED) / (self.ends[-1] - self.ends[SKIPPED - 1])

    @property
    def seconds(self) -> float:
        """Median of the steps after the first ones."""
        return statistics.median(b - a for a, b in itertools.pairwise(self.ends[SKIPPED - 1 :]))


def bare_trainer(clock: Clock, steps: int, **options: Any) -> Trainer:
    """Return a trainer that does ``steps`` steps and nothing else: no validation, logs or checkpoints."""
    return Trainer(
        **{"devices": 1, **options}, max_steps=steps, callbacks=[clock], limit_val_batches=0,
        num_sanity_val_steps=0, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False,
    )  # fmt: skip


def recipe_arguments(document: str | None) -> argparse.ArgumentParser:
    """Return a parser of what these benchmarks take."""
    parser = argparse.ArgumentParser(description=document, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("recipes/quickstart.yaml"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the recipe")
    parser.add_argument(
        "--steps", type=int, default=30, help=f"of each turn, after {SKIPPED} that are not timed"
    )
    parser.add_argument("--rounds", type=int, default=5)
    return parser


def changes(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Split what ``--set`` was given."""
    return [(key, value) for key, _, value in (text.partition("=") for text in texts)]


def build_parts(config: Path, overrides: Sequence[tuple[str, str]] = ()) -> Parts:
    """Build what a recipe describes."""
    parser = make_parser()
    namespace = parse(parser, resolve(load_recipe([config], [*overrides, ("name", "benchmark")])))
    namespace.pop("ckpt_path", None)
    return build(parser, namespace)
