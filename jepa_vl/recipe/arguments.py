"""What a class can be given: names, types, defaults and help of its constructor's arguments."""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Union

import docstring_parser
from jsonargparse import ArgumentError, ArgumentParser

REQUIRED = inspect.Parameter.empty
UNKNOWN = inspect.Parameter.empty


@dataclass(frozen=True)
class Argument:
    """One argument of a constructor.

    Attributes:
        name: Its name.
        hint: Its type, or ``UNKNOWN`` where it has none that can be read.
        default: Its default, or ``REQUIRED``.
        help: Its line of the docstring's ``Args:``.
    """

    name: str
    hint: Any
    default: Any
    help: str

    def accepts(self, value: Any) -> bool:
        """Whether jsonargparse takes ``value`` for this type; true where the type is not known."""
        known = self.hint is not UNKNOWN and self.hint is not Any
        if not known or (self.default is not REQUIRED and value == self.default):
            return True
        if value is None:  # to jsonargparse, an argument that is not given
            return types.NoneType in classes_in(self.hint)
        parser = ArgumentParser(exit_on_error=False)
        try:
            parser.add_argument("--value", type=self.hint)
        except ValueError:  # a type that jsonargparse knows nothing of
            return True
        try:
            parser.parse_object({"value": value})
        except ArgumentError:
            return False
        return True


@lru_cache(maxsize=256)
def arguments_of(part: Callable[..., Any]) -> dict[str, Argument]:
    """Arguments of a class or function; those behind ``**kwargs`` are the parent classes'."""
    found: dict[str, Argument] = {}
    decided: set[str] = set()  # what a class passes to its parent itself
    for function, docs in _constructors(part):
        try:
            hints = typing.get_type_hints(function)
        except (NameError, TypeError):  # a name that is imported for type checkers only
            hints = {}
        parameters = list(inspect.signature(function).parameters.values())
        if isinstance(part, type):
            parameters = parameters[1:]  # self
        for p in parameters:
            if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) or p.name in found or p.name in decided:
                continue
            found[p.name] = Argument(p.name, hints.get(p.name, UNKNOWN), p.default, docs.get(p.name, ""))
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
        decided |= _passed_to_parent(function)
    return found


def takes_any(part: Callable[..., Any]) -> bool:
    """Whether a class or function has ``**kwargs`` of its own."""
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(part).parameters.values())


def _passed_to_parent(init: Callable[..., Any]) -> set[str]:
    """Names that a constructor gives in ``super().__init__(name=…, **kwargs)``."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(init)))
    except (OSError, SyntaxError):  # no source, as in a zip file
        return set()
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    to_parent = (call for call in calls if ast.unparse(call.func).endswith("super().__init__"))
    return {keyword.arg for call in to_parent for keyword in call.keywords if keyword.arg}


def _constructors(part: Callable[..., Any]) -> Iterator[tuple[Callable[..., Any], dict[str, str]]]:
    if not isinstance(part, type):
        yield part, _help(part.__doc__)
        return
    for cls in part.__mro__:
        init = cls.__dict__.get("__init__")
        if inspect.isfunction(init):
            yield init, _help(cls.__doc__) | _help(init.__doc__)


def _help(docstring: str | None) -> dict[str, str]:
    parsed = docstring_parser.parse(docstring or "")
    return {p.arg_name: " ".join((p.description or "").split()) for p in parsed.params}


def classes_in(hint: Any) -> Iterator[type]:
    """Every class that stands in a type: ``list[Task] | None`` has list's items' ``Task`` and None's type."""
    if isinstance(hint, types.GenericAlias) or typing.get_origin(hint) is not None:
        for inner in typing.get_args(hint):
            yield from classes_in(inner)
    elif isinstance(hint, type):
        yield hint


def choices_in(hint: Any) -> list[str]:
    """The words that a type allows, if it lists them."""
    if typing.get_origin(hint) is Literal:
        return [choice for choice in typing.get_args(hint) if isinstance(choice, str)]
    return [choice for inner in typing.get_args(hint) for choice in choices_in(inner)]


def type_text(hint: Any) -> str:
    """A type for people: ``int or null``, ``one of 'mean', 'cls'``, ``list of str``."""
    if hint is None or hint is types.NoneType:
        return "null"
    if hint is UNKNOWN:
        return "anything"
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(repr(choice) for choice in inner)
    if origin in (Union, types.UnionType):
        # several Literals in a Union are one choice
        choices = dict.fromkeys(
            c for i in inner if typing.get_origin(i) is Literal for c in typing.get_args(i)
        )
        others = [type_text(i) for i in inner if typing.get_origin(i) is not Literal]
        return " or ".join([*([type_text(Literal[tuple(choices)])] if choices else []), *others])
    if origin in (list, tuple, set, frozenset):
        items = [type_text(i) for i in inner if i is not Ellipsis]
        ends = Ellipsis in inner or origin is not tuple
        return f"{origin.__name__} of {', '.join(items)}" if ends else f"[{', '.join(items)}]"
    if origin is dict:
        return f"mapping of {type_text(inner[0])} to {type_text(inner[1])}"
    return getattr(hint, "__name__", str(hint).removeprefix("typing."))
