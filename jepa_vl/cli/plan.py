"""``jepa-vl plan``: what a recipe takes to train, before anything is loaded."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from jepa_vl.cli.options import read_options
from jepa_vl.errors import RecipeError, did_you_mean
from jepa_vl.recipe import load_recipe

HELP = """\
usage: jepa-vl plan --config RECIPE [--gpu CARD] [--utilisation SHARE] [--arm ARM] [--json] [--key VALUE …]

Print what a recipe takes to train: parameters by part, operations, bytes and tokens of a sample, memory of a
process, hours of the whole run. Neither weights nor data are loaded: parts are built as shapes, pretrained
ones by their configurations. The arms of a comparison stand side by side, with the hours of all their seeds.

  --config FILE           a recipe; several as for `jepa-vl fit`, one for a comparison
  --gpu CARD              h100 (default), h200, a100, 4090, or cpu-measured: this processor, measured
  --gpu-tflops NUMBER     another card's peak, in 10¹² operations a second
  --utilisation SHARE     of that peak, above 0 and up to 1; 0.4 by default
  --query-tokens NUMBER   of a sample; 16 by default. Texts are data, and not read
  --target-tokens NUMBER  of a sample; 32 by default
  --arm ARM               of a comparison: this arm alone, part by part
  --json                  for programs
  --KEY VALUE             anything of the recipe, --data.batch_size 64 say
"""
N = TypeVar("N", int, float)

OPTIONS = (
    "--config",
    "--gpu",
    "--gpu-tflops",
    "--utilisation",
    "--query-tokens",
    "--target-tokens",
    "--arm",
    "--json",
)


@dataclass
class Wanted:
    """What was typed."""

    configs: list[str] = field(default_factory=list)
    gpu: str = "h100"
    gpu_tflops: float | None = None
    utilisation: float = 0.4
    query_tokens: int = 16
    target_tokens: int = 32
    arm: str | None = None
    json: bool = False
    overrides: list[tuple[str, str]] = field(default_factory=list)


def main(argv: Sequence[str]) -> int:
    """Run ``plan``; returns the exit status.

    Raises:
        RecipeError: The command or the recipe is wrong.
        UserError: The configuration of a model cannot be had.
    """
    if not argv or any(word in ("-h", "--help") for word in argv):
        (sys.stdout if argv else sys.stderr).write(HELP)
        return 0 if argv else 2
    wanted = read_words(argv)
    load_recipe(wanted.configs)  # one that cannot be read is told before seconds of imports
    from jepa_vl.cli.planned import plan

    return plan(wanted)


def read_words(argv: Sequence[str]) -> Wanted:
    """Read the command line.

    Raises:
        RecipeError: A word belongs to no option, or an option has no value or a wrong one.
    """
    found = Wanted()
    for option, value in read_options(argv, OPTIONS, flags=("--json",)):
        if option == "--json":
            found.json = True
        elif option in ("-c", "--config"):
            found.configs.append(value)
        elif option in ("--gpu", "--arm"):
            setattr(found, option[2:], value)
        elif option == "--gpu-tflops":
            found.gpu_tflops = _number(option, value, float, lambda n: n > 0, "a number above 0")
        elif option == "--utilisation":
            found.utilisation = _number(
                option, value, float, lambda n: 0 < n <= 1, "a share above 0 and up to 1"
            )
        elif option in ("--query-tokens", "--target-tokens"):
            least = 0 if option == "--query-tokens" else 1
            fits = partial(operator.le, least)
            number = _number(option, value, int, fits, f"a whole number from {least} on")
            setattr(found, option[2:].replace("-", "_"), number)
        elif "-" in option[2:]:
            raise RecipeError(f"command line: unknown option {option}; {did_you_mean(option, OPTIONS)}")
        else:
            found.overrides.append((option[2:], value))
    return found


def _number(option: str, value: str, kind: type[N], right: Callable[[N], bool], expected: str) -> N:
    try:
        number = kind(value)
    except ValueError:
        number = None
    if number is None or not right(number):
        raise RecipeError(f"command line: {option}: expected {expected}, found '{value}'")
    return number
