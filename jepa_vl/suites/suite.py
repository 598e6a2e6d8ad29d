"""`Suite`: which benchmarks are run, with which tasks, and what the paper reports on them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jepa_vl import registry
from jepa_vl.errors import RecipeError, did_you_mean
from jepa_vl.recipe import Recipe, load_recipe
from jepa_vl.recipe.resolve import resolve_part

KEYS = ("name", "plugins", "seed_everything", "trainer", "baseline", "benchmarks")
BENCHMARK_KEYS = ("data", "tasks", "shown", "paper", "make")

#: "task metric" of a column → system → value, a fraction.
PaperNumbers = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Benchmark:
    """Sample sets and the tasks that are run on them.

    Attributes:
        name: Its column in the table.
        data: Resolved data module; its test splits are evaluated.
        tasks: Resolved tasks.
        shown: What the table shows, each as "task metric"; the headline of every task when empty.
        paper: What the paper reports, by what is shown.
        make: The command that makes its data, shown where they are missing.
    """

    name: str
    data: dict[str, Any]
    tasks: list[dict[str, Any]]
    shown: tuple[str, ...] = ()
    paper: PaperNumbers = field(default_factory=dict)
    make: str = ""

    @property
    def missing(self) -> list[str]:
        """Manifest files that it names and that are not there."""
        named = self.data["init_args"].get("manifest", [])
        files = [named] if isinstance(named, str) else named
        return [file for file in files if not Path(file).exists()]

    @property
    def key(self) -> str:
        """Hash of what its results depend on, besides the model and the content of its data."""
        text = json.dumps([self.data, self.tasks], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Suite:
    """Benchmarks that are run together.

    Attributes:
        name: Its name, and that of its folder.
        benchmarks: In the order of the table.
        baseline: Name of the model that the others are compared with; the first one when empty.
        trainer: Arguments of Lightning's Trainer.
        seed: The global seed.
    """

    name: str
    benchmarks: tuple[Benchmark, ...]
    baseline: str = ""
    trainer: dict[str, Any] = field(default_factory=dict)
    seed: int = 1


def load_suite(file: str | Path, overrides: Sequence[tuple[str, str]] = ()) -> Suite:
    """Read a suite, and check every key and part in it before anything runs.

    Raises:
        RecipeError: With file, line and key.
    """
    recipe = load_recipe([file], overrides)
    values = recipe.values
    registry.load_local(values.get("plugins") or [])
    _check_keys(recipe, (), values, KEYS)
    benchmarks = values.get("benchmarks")
    if not isinstance(benchmarks, dict) or not benchmarks:
        raise recipe.error(("benchmarks",), f"a suite needs `benchmarks: NAME: …`, found {benchmarks!r}")
    trainer = values.get("trainer") or {}
    if not isinstance(trainer, dict):
        raise recipe.error(("trainer",), f"expected arguments of Lightning's Trainer, found {trainer!r}")
    return Suite(
        name=str(values.get("name") or Path(file).stem),
        benchmarks=tuple(_benchmark(recipe, str(name), value) for name, value in benchmarks.items()),
        baseline=str(values.get("baseline") or ""),
        trainer=trainer,
        seed=int(values.get("seed_everything", 1)),
    )


def _benchmark(recipe: Recipe, name: str, value: Any) -> Benchmark:
    key = ("benchmarks", name)
    if not isinstance(value, dict):
        raise recipe.error(key, f"expected data and tasks, found {value!r}")
    _check_keys(recipe, key, value, BENCHMARK_KEYS)
    for needed in ("data", "tasks"):
        if not value.get(needed):
            raise recipe.error(key, f"it has no '{needed}'")
    tasks = [value["tasks"]] if isinstance(value["tasks"], str) else value["tasks"]
    shown = value.get("shown") or []
    return Benchmark(
        name=name,
        data=resolve_part(recipe, (*key, "data"), "data", value["data"]),
        tasks=[resolve_part(recipe, (*key, "tasks", i), "tasks", task) for i, task in enumerate(tasks)],
        shown=(shown,) if isinstance(shown, str) else tuple(shown),
        paper=value.get("paper") or {},
        make=str(value.get("make") or ""),
    )


def _check_keys(recipe: Recipe, key: tuple[str, ...], values: dict[str, Any], known: Sequence[str]) -> None:
    for word in values:
        if word not in known:
            error = recipe.error((*key, word), f"unknown key; {did_you_mean(str(word), known)}")
            raise RecipeError(str(error))
