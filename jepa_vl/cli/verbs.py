"""The trainer's verbs: help at once, else read the recipe, build what it describes and run it."""

from __future__ import annotations

from collections.abc import Sequence

from jepa_vl.cli.argv import read_argv


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
    from jepa_vl.cli.run import run

    return run(verb, arguments)
