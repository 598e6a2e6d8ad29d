from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest

from jepa_vl.recipe.arguments import REQUIRED, UNKNOWN, Argument, arguments_of, choices_in, type_text


class Parent:
    """P.

    Args:
        frozen: Whether it learns.
        size: Overridden below.
    """

    def __init__(self, *, frozen: bool = False, size: int = 1) -> None: ...


class Child(Parent):
    """C.

    Args:
        name: What it is called,
            on two lines.
    """

    def __init__(self, name: str, *, size: float = 2.0, **kwargs: Any) -> None: ...


class Shut(Parent):
    def __init__(self, *, only: int | None = None) -> None: ...


class Decided(Child):
    def __init__(self, *, more: int = 0, **kwargs: Any) -> None:
        super().__init__(name=f"x{more}", size=3.0, **kwargs)


@dataclass
class Settings:
    lr: float = 1e-3


def test_arguments_behind_kwargs_are_the_parents_and_the_child_goes_first() -> None:
    found = arguments_of(Child)
    assert list(found) == ["name", "size", "frozen"]
    assert found["name"] == Argument("name", str, REQUIRED, "What it is called, on two lines.")
    assert (found["size"].hint, found["size"].default) == (float, 2.0)
    assert found["frozen"].help == "Whether it learns."


def test_without_kwargs_the_parents_arguments_are_not_offered() -> None:
    assert list(arguments_of(Shut)) == ["only"]


def test_what_a_class_passes_to_its_parent_itself_is_not_offered() -> None:
    assert list(arguments_of(Decided)) == ["more", "frozen"]


def test_a_dataclass_and_a_function_have_arguments_too() -> None:
    assert arguments_of(Settings)["lr"].default == 1e-3
    assert arguments_of(lambda x, y=2: None)["y"] == Argument("y", UNKNOWN, 2, "")


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    [
        (int, ["5", 5], ["x", 5.5, None, [1]]),
        (float, ["1e-3", 3], ["hot", [1.0]]),
        (str, ["5", "x"], [5, None]),
        (bool, ["true", False], [3, "maybe"]),
        (float | None, [None, "null", 1], ["x"]),
        (list[int], [[1, 2], ["1"]], [3, ["x"]]),
        (tuple[int, ...], [[1, 2]], [["x"]]),
        (Literal["a", "b"], ["a"], ["c", None]),
        (dict[str, str], [{"a": "b"}], [{"a": 1}, "a"]),
        (UNKNOWN, [object(), 3], []),
        (Any, [3, "x"], []),
    ],
)
def test_values_are_judged_by_type(hint: Any, good: list[Any], bad: list[Any]) -> None:
    argument = Argument("x", hint, REQUIRED, "")
    assert [v for v in good if not argument.accepts(v)] == []
    assert [v for v in bad if argument.accepts(v)] == []


def test_the_default_is_accepted_whatever_the_type_says() -> None:
    assert Argument("x", int, None, "").accepts(None)


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (int | None, "int or null"),
        (list[str], "list of str"),
        (tuple[int, ...], "tuple of int"),
        (tuple[int, float], "[int, float]"),
        (dict[str, int], "mapping of str to int"),
        (Literal["a", "b"], "one of 'a', 'b'"),
        (Literal["a"] | Literal[3] | None, "one of 'a', 3 or null"),
        (str | list[str], "str or list of str"),
        (Settings, "Settings"),
        (UNKNOWN, "anything"),
    ],
)
def test_types_are_said_in_words(hint: Any, text: str) -> None:
    assert type_text(hint) == text


def test_the_words_a_type_allows() -> None:
    assert choices_in(Literal["a", 3] | None | Literal["b"]) == ["a", "b"]
    assert choices_in(int) == []
