"""`plan_arms`: what every arm of a comparison takes to train, with all its seeds and trials."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jepa_vl.cli.build import make_parser, parse
from jepa_vl.compare.budgets import step_of
from jepa_vl.compare.plan import Arm, Comparison
from jepa_vl.errors import RecipeError, UserError, did_you_mean
from jepa_vl.planning.cards import Card
from jepa_vl.planning.model import Lengths
from jepa_vl.planning.plan import Plan, make_plan


@dataclass(frozen=True)
class ArmPlan:
    """What one arm takes.

    Attributes:
        arm: The arm.
        plan: Of one run of it.
        seeds: How many runs.
        trials: How many values are tried before.
        trial_steps: Optimizer steps of each trial.
    """

    arm: Arm
    plan: Plan
    seeds: int
    trials: int
    trial_steps: int

    @property
    def steps(self) -> int:
        """Optimizer steps of all seeds and trials."""
        assert self.plan.size.steps is not None  # a comparison has none without trainer.max_steps
        return self.seeds * self.plan.size.steps + self.trials * self.trial_steps

    @property
    def card_hours(self) -> float:
        """Hours of one card for all seeds and trials."""
        assert self.plan.card_hours is not None
        assert self.plan.size.steps is not None
        return self.plan.card_hours * self.steps / self.plan.size.steps

    def as_dict(self) -> dict[str, Any]:
        """Return everything, for programs; ``card_hours`` is that of one run."""
        return {
            **self.plan.as_dict(),
            "about": self.arm.about,
            "seeds": self.seeds,
            "trials": self.trials,
            "trial_steps": self.trial_steps,
            "card_hours_all": self.card_hours,
        }


def plan_arms(
    comparison: Comparison,
    names: Sequence[str] = (),
    *,
    lengths: Lengths,
    card: Card,
    utilisation: float,
) -> list[ArmPlan]:
    """Plan arms one after another: neither weights nor data are read.

    Args:
        comparison: What is compared.
        names: Of the arms; all by default.
        lengths: Tokens of every sample's texts.
        card: What they would run on.
        utilisation: Share of the card's peak that is reached.

    Raises:
        RecipeError: There is no such arm, or one cannot be built.
        UserError: The configuration of a model cannot be had.
    """
    known = [arm.name for arm in comparison.arms]
    for name in names:
        if name not in known:
            raise RecipeError(f"command line: --arm: no arm '{name}'; {did_you_mean(name, known)}")
    found, tuning = [], comparison.tuning
    for arm in comparison.arms:
        if names and arm.name not in names:
            continue
        values = parse(make_parser(), copy.deepcopy(arm.values)).as_dict()  # it changes what it is given
        try:
            plan = make_plan(values, lengths=lengths, card=card, utilisation=utilisation)
        except UserError as error:
            raise type(error)(f"arm '{arm.name}': {error}") from error
        trials = 0 if tuning is None else len(tuning.values)
        steps = 0 if tuning is None else step_of(tuning.budget, int(values["trainer"]["max_steps"]))
        found.append(ArmPlan(arm, plan, len(comparison.seeds), trials, steps))
    return found
