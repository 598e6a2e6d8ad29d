"""What ``jepa-vl plan`` does once its command line is read: plan a recipe, or the arms of a comparison."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console

from jepa_vl.cli.build import make_parser, parse
from jepa_vl.cli.plan import Wanted
from jepa_vl.cli.run import quiet
from jepa_vl.compare.load import load_comparison
from jepa_vl.compare.words import COMPARE
from jepa_vl.errors import RecipeError
from jepa_vl.planning.arms import print_arms, print_runs
from jepa_vl.planning.cards import Card, card
from jepa_vl.planning.comparison import plan_arms
from jepa_vl.planning.model import Lengths
from jepa_vl.planning.plan import make_plan
from jepa_vl.planning.tables import print_plan
from jepa_vl.recipe import load_recipe
from jepa_vl.recipe.resolve import resolve


def plan(wanted: Wanted) -> int:
    """Do what was asked for; returns the exit status.

    Raises:
        RecipeError: The recipe is wrong, or there is no such card or arm.
        UserError: The configuration of a model cannot be had.
    """
    quiet()
    tflops = wanted.gpu_tflops
    chosen = card(wanted.gpu) if tflops is None else Card("card", tflops, None, "--gpu-tflops")
    lengths = Lengths(wanted.query_tokens, wanted.target_tokens)
    told: dict[str, Any] = {"lengths": lengths, "card": chosen, "utilisation": wanted.utilisation}
    if COMPARE[0] in load_recipe(wanted.configs).values:
        return _comparison(wanted, told)
    if wanted.arm is not None:
        raise RecipeError("command line: --arm is for a recipe with the key 'compare', and this one has none")
    recipe = parse(make_parser(), resolve(load_recipe(wanted.configs, wanted.overrides)))
    made = make_plan(recipe.as_dict(), **told)
    if wanted.json:
        return _json(made.as_dict())
    print_plan(made, _console())
    return 0


def _comparison(wanted: Wanted, told: dict[str, Any]) -> int:
    if len(wanted.configs) > 1:
        raise RecipeError("command line: one --config; a comparison imports others by `import:`")
    comparison = load_comparison(wanted.configs[0], wanted.overrides)
    plans = plan_arms(comparison, [wanted.arm] if wanted.arm else [], **told)
    if wanted.json:
        hours = sum(each.card_hours for each in plans)
        arms = {each.arm.name: each.as_dict() for each in plans}
        return _json({"comparison": comparison.name, "arms": arms, "card_hours_all": hours})
    console = _console()
    if wanted.arm:
        print_plan(plans[0].plan, console)
        print_runs(plans[0], console)
    else:
        print_arms(plans, console)
    return 0


def _json(values: dict[str, Any]) -> int:
    sys.stdout.write(json.dumps(values, indent=2) + "\n")
    return 0


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=110)
