"""The class names of classification: from a recipe or a text file, and what they become in templates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jepa_vl.data.text_lists import read_lines
from jepa_vl.errors import RecipeError

KEY = "classification.labels"


def read_class_names(labels: Sequence[str] | str) -> list[str]:
    """Return the class names, in order and without space around them.

    Args:
        labels: The names, or a UTF-8 text file with one a line; blank lines are passed over.

    Raises:
        RecipeError: The file cannot be read, there are fewer than two names, or one occurs twice.
    """
    if isinstance(labels, str):
        where, numbered = f"{KEY}: {labels}", _lines(labels)
    else:
        where, numbered = KEY, [(f"entry {i}", name.strip()) for i, name in enumerate(labels, 1)]
    first: dict[str, str] = {}
    for place, name in numbered:
        if not name:
            raise RecipeError(f"{where}, {place}: a class name is blank")
        if name in first:
            raise RecipeError(
                f"{where}, {place}: '{name}' stands in {first[name]} already; class names must differ"
            )
        first[name] = place
    if len(first) < 2:
        raise RecipeError(f"{where}: found {len(first)} class names; expected two or more")
    return list(first)


def _lines(path: str) -> list[tuple[str, str]]:
    try:
        return [(f"line {number}", name) for number, name in read_lines(Path(path).expanduser())]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RecipeError(
            f"{KEY}: cannot read '{path}' ({reason}); expected a list of class names, or a text file with "
            "one a line"
        ) from None


def check_templates(templates: Sequence[str], key: str) -> None:
    """Refuse templates that no class name can be put into; ``key`` is the recipe's, for the message.

    Raises:
        RecipeError: There is none, one has no ``{}``, or one occurs twice.
    """
    if not templates:
        raise RecipeError(f"{key} is empty; expected at least one, such as '{{}}'")
    for i, template in enumerate(templates):
        if "{}" not in template:
            raise RecipeError(f"{key}: '{template}' has no {{}} for the class name")
        if template in templates[:i]:
            raise RecipeError(f"{key}: '{template}' occurs twice")
