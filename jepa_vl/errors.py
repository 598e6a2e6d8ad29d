"""The errors a user can cause, each shown as one message and never as a stack trace."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable


class UserError(Exception):
    """A run that cannot go on for a reason the user can mend; the command ends with status 1."""

    exit_status = 1


class RecipeError(UserError):
    """A wrong command or recipe; the command ends with status 2."""

    exit_status = 2


class ManifestError(UserError):
    """A manifest, or media it names, that cannot be used; names the file and line."""


def user_error_in(error: BaseException | None) -> UserError | None:
    """Return the `UserError` that led to an error, if there is one: others wrap what a constructor raises."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error


def is_no_place(error: OSError) -> bool:
    """Whether a place may not be written to, or has a file where a folder is wanted."""
    refused = isinstance(error, PermissionError | NotADirectoryError | FileExistsError)
    return refused or error.errno == errno.EROFS


def nearest(name: str, choices: Iterable[str], *, most: int = 3) -> list[str]:
    """Return the choices that look most like ``name``, best first."""
    return difflib.get_close_matches(name, list(choices), n=most, cutoff=0.5)


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """End of an error message: the nearest valid choices, or all of them when none is near."""
    known = sorted(choices)
    near = nearest(name, known)
    if near:
        return "did you mean " + " or ".join(f"'{n}'" for n in near) + "?"
    return "choose from " + ", ".join(known) if known else "there is nothing to choose from"
