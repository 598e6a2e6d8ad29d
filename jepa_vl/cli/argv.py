"""What was typed: recipes, overrides by dotted key, and requests for help."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from jepa_vl.errors import RecipeError, did_you_mean

FLAGS = ("--help", "--print_config")


@dataclass
class Arguments:
    """A verb's command line.

    Attributes:
        configs: Recipes, in order.
        overrides: (dotted key, text of the value), in order; they go over every recipe.
        help: ``--help`` was asked for.
        print_config: ``--print_config`` was asked for.
        part_help: (key, name) of ``--objective.loss.help info_nce``.
    """

    configs: list[str] = field(default_factory=list)
    overrides: list[tuple[str, str]] = field(default_factory=list)
    help: bool = False
    print_config: bool = False
    part_help: tuple[str, str] | None = None


def read_argv(argv: Sequence[str]) -> Arguments:
    """Read ``--config FILE``, ``--key.subkey VALUE`` and ``--key.subkey=VALUE``.

    Raises:
        RecipeError: A word belongs to no option, or an option has no value.
    """
    found = Arguments()
    words = list(argv)
    while words:
        word = words.pop(0)
        if word in ("-h", "--help"):
            found.help = True
        elif word == "--print_config":
            found.print_config = True
        elif word == "-c" or re.fullmatch(r"--[A-Za-z_][\w.]*(=.*)?", word, re.DOTALL):
            option, value = _with_value(word, words)
            if option in ("-c", "--config"):
                found.configs.append(value)
            elif option.endswith(".help"):
                found.part_help = (option[2:].removesuffix(".help"), value)
            else:
                found.overrides.append((option[2:], value))
        else:
            raise RecipeError(f"command line: unexpected '{word}'; {_expected(word)}")
    return found


def _with_value(word: str, rest: list[str]) -> tuple[str, str]:
    option, equals, value = word.partition("=")
    if equals:
        return option, value
    if not rest or rest[0].startswith("--"):
        raise RecipeError(f"command line: {option} needs a value: {option} VALUE")
    return option, rest.pop(0)


def _expected(word: str) -> str:
    if word.startswith("-"):
        return did_you_mean(word, (*FLAGS, "--config"))
    if word.endswith((".yaml", ".yml")):
        return f"a recipe is given by --config {word}"
    return "expected --key VALUE"
