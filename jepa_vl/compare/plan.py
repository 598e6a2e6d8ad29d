"""`Comparison`: what is compared, as a recipe with the key ``compare`` says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Arm:
    """One of the things compared.

    Attributes:
        name: Its row, its colour and its folder.
        values: Its resolved recipe: the shared part with what is its own laid over it.
        own: Dotted keys that it sets itself, such as ``objective.predictor.layers``.
        decoder: Recipe file of a decoder that is trained on each finished run of the arm, which then says
            its captions a second time; empty for none.
        against: Name of the arm that it is compared with; empty for the comparison's reference, its own for
            none.
        paper: What the paper reports for it, by the name of a metric (see `Metric.name`).
        about: A few words for tables and legends; the name by default.
    """

    name: str
    values: dict[str, Any]
    own: tuple[str, ...]
    decoder: str = ""
    against: str = ""
    paper: Mapping[str, float] = field(default_factory=dict)
    about: str = ""


@dataclass(frozen=True)
class Metric:
    """A number that is compared: one row of ``results.json``.

    Attributes:
        name: Its heading, such as ``captions, CIDEr``.
        sample_set: Name of the sample set: ``test``, ``novel``.
        task: Name of the task.
        metric: Name of the metric in the task's rows.
        group: Of the row; ``all`` by default.
    """

    name: str
    sample_set: str
    task: str
    metric: str
    group: str = "all"


@dataclass(frozen=True)
class Tuning:
    """How each arm's value of one key is chosen, by one rule: the best ``val/score`` at a part of the budget.

    Attributes:
        key: Dotted key, ``objective.optimizer.lr``.
        values: What is tried for every arm.
        budget: Fraction of the steps that a trial takes; its schedule is that of the whole run.
        seed: Of the trials; none of the seeds compared.
    """

    key: str
    values: tuple[Any, ...]
    budget: float
    seed: int = 0


@dataclass(frozen=True)
class Comparison:
    """Arms, seeds, budgets and what is measured.

    Attributes:
        name: Its folder is ``runs/compare/NAME``.
        arms: In the order of the tables.
        reference: Name of the arm that the others are compared with, unless they name one themselves.
        varies: Dotted keys outside of the objective's own parts in which arms may differ.
        seeds: Each arm is trained once with each.
        budgets: Fractions of an arm's steps at which it is evaluated, ascending, the last 1.
        metrics: What the report shows and tests.
        tuning: How a key of each arm is chosen before; None to take the recipe's.
        file: The recipe, for commands and messages.
        series: Name of what widens step by step → the arms of its steps, in order, whose differences to the
            arms that they are compared with are compared in turn: does the gap grow?
    """

    name: str
    arms: tuple[Arm, ...]
    reference: str
    varies: tuple[str, ...]
    seeds: tuple[int, ...]
    budgets: tuple[float, ...]
    metrics: tuple[Metric, ...]
    tuning: Tuning | None
    file: str
    series: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def arm(self, name: str) -> Arm:
        """Return an arm by its name; `KeyError` where there is none."""
        return next(arm for arm in self.arms if arm.name == name)

    def against(self, name: str) -> str:
        """Return the name of the arm that an arm is compared with; empty where it is for others alone."""
        other = self.arm(name).against or self.reference
        return "" if other == name else other
