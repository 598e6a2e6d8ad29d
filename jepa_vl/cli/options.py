"""The words of a command line, option by option, for the verbs that read their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jepa_vl.errors import RecipeError, did_you_mean


def read_options(
    argv: Sequence[str], options: Sequence[str], flags: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yield each option and its value, said as ``--KEY VALUE`` or ``--KEY=VALUE``; '' for a flag's.

    Raises:
        RecipeError: A word belongs to no option, or an option has no value.
    """
    words = list(argv)
    while words:
        option, equals, value = words.pop(0).partition("=")
        if not option.startswith("--") and not (option == "-c" and "--config" in options):
            raise RecipeError(f"command line: unexpected '{option}'; {did_you_mean(option, options)}")
        if option in flags:
            yield option, ""
            continue
        if not equals:
            if not words or words[0].startswith("--"):
                raise RecipeError(f"command line: {option} needs a value: {option} VALUE")
            value = words.pop(0)
        yield option, value
