"""What benchmarks of training share: a recipe's parts, and the time at which each step ended."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning import Callback

from jepa_vl.cli.build import Parts, build, make_parser, parse
from jepa_vl.recipe import load_recipe
from jepa_vl.recipe.resolve import resolve

SKIPPED = 3  # steps of each turn that are not timed


class Clock(Callback):
    """Notes this process's own time on the processor, which other work on the machine hardly changes."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def note(self) -> None:
        """A step has ended."""
        self.ends.append(time.process_time())

    def on_train_batch_end(self, *_: Any) -> None:
        """Note the time."""
        self.note()

    @property
    def speed(self) -> float:
        """Steps a second, without the first ones."""
        return (len(self.ends) - SKIPPED) / (self.ends[-1] - self.ends[SKIPPED - 1])


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
