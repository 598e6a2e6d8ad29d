"""``jepa-vl compare``: arms, seeds and budgets under proven control, with statistics and a report."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from jepa_vl.cli.options import read_options
from jepa_vl.errors import RecipeError
from jepa_vl.recipe import load_recipe

HELP = """\
usage: jepa-vl compare --config FILE [--check] [--arm ARM …] [--seed SEED …] [--report] [--key VALUE …]

Train several arms that differ in named keys only, each with several seeds, and compare what comes out.

Without further options it proves the control (same data, order, encoder, batches and schedule), tunes each
arm by the same rule, does every run that is not finished, measures what inference costs, and writes
runs/compare/NAME/report.html. Finished runs are reused; one that was stopped goes on where it was.

  --config FILE   a recipe with the key 'compare', recipes/compare/babyai.yaml say
  --check         prove the control, print it, and stop
  --arm ARM       do the runs of this arm only; several times for several arms
  --seed SEED     do the runs with this seed only; several times for several seeds. On a cluster: a process
                  for each arm and seed, on a folder that they share; none does what another is at
  --report        train nothing; make the report from the runs that are there
  --KEY VALUE     anything of the recipe, --trainer.max_steps 60 say
"""
OPTIONS = ("--config", "--check", "--arm", "--seed", "--report")


@dataclass
class Wanted:
    """What was typed."""

    config: str = ""
    check: bool = False
    report: bool = False
    arms: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    overrides: list[tuple[str, str]] = field(default_factory=list)


def main(argv: Sequence[str]) -> int:
    """Run ``compare``; returns the exit status: 1 where a run failed.

    Raises:
        RecipeError: The command or the recipe is wrong, or the control is refused.
        UserError: The data cannot be read, or no trial gave a score.
    """
    if not argv or any(word in ("-h", "--help") for word in argv):
        (sys.stdout if argv else sys.stderr).write(HELP)
        return 0 if argv else 2
    wanted = read_words(argv)
    if not wanted.config:
        raise RecipeError("`jepa-vl compare` needs --config FILE, recipes/compare/babyai.yaml say")
    load_recipe([wanted.config])  # one that cannot be read is told before seconds of imports
    from jepa_vl.cli.comparison import compare

    return compare(wanted)


def read_words(argv: Sequence[str]) -> Wanted:
    """Read the command line.

    Raises:
        RecipeError: A word belongs to no option, an option has no value, or a seed is no number.
    """
    found = Wanted()
    for option, value in read_options(argv, OPTIONS, flags=("--check", "--report")):
        if option in ("--check", "--report"):
            setattr(found, option[2:], True)
        elif option in ("-c", "--config"):
            if found.config:
                raise RecipeError("command line: one --config; a comparison imports others by `import:`")
            found.config = value
        elif option == "--arm":
            found.arms.append(value)
        elif option == "--seed":
            if not value.isdigit():
                raise RecipeError(f"command line: --seed: expected a number, found '{value}'")
            found.seeds.append(int(value))
        else:
            found.overrides.append((option[2:], value))
    return found
