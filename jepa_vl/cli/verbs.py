"""The trainer's verbs: help at once, else read the recipe, build what it describes and run it."""

from __future__ import annotations

from collections.abc import Sequence

from jepa_vl.cli.argv import read_argv
from jepa_vl.recipe import load_recipe


def main(verb: str, argv: Sequence[str]) -> int:
    """Run ``fit``, ``validate``, ``test`` or ``predict``; returns the exit status.

    Raises:
        UserError: What the user can mend.
    """
    arguments = read_argv(argv)
    if arguments.part_help is not None:
        from jepa_vl.cli.plugins import show_for_key

        return show_for_key(*arguments.part_help)
    if arguments.help:
        from jepa_vl.cli.help import print_help

        return print_help(verb)
    recipe = load_recipe(arguments.configs, arguments.overrides)  # what is wrong is told before long imports
    from jepa_vl.cli.run import run

    return run(verb, arguments, recipe)
