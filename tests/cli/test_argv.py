from __future__ import annotations

import pytest

from jepa_vl.cli.argv import read_argv
from jepa_vl.errors import RecipeError


def test_recipes_and_overrides_keep_their_order() -> None:
    found = read_argv(["--config", "a.yaml", "--x.y", "1", "-c", "b.yaml", "--x.y=2", "--z=a=b"])
    assert found.configs == ["a.yaml", "b.yaml"]
    assert found.overrides == [("x.y", "1"), ("x.y", "2"), ("z", "a=b")]


def test_a_negative_number_an_empty_text_and_a_dash_are_values() -> None:
    assert read_argv(["--a", "-1", "--b", "", "--c", "-", "--d="]).overrides == [
        ("a", "-1"),
        ("b", ""),
        ("c", "-"),
        ("d", ""),
    ]


def test_a_value_over_several_lines_is_kept() -> None:
    assert read_argv(["--a=[1,\n2]"]).overrides == [("a", "[1,\n2]")]


def test_help_is_asked_for_a_verb_or_a_part() -> None:
    assert read_argv(["--config", "a.yaml", "-h"]).help
    assert read_argv(["--objective.loss.help", "l1"]).part_help == ("objective.loss", "l1")


@pytest.mark.parametrize("argv", [["x"], ["--"], ["--a"], ["--a", "--b"], ["---a", "1"], ["--a", "1", "2"]])
def test_words_that_belong_to_nothing_are_refused(argv: list[str]) -> None:
    with pytest.raises(RecipeError, match="command line: "):
        read_argv(argv)
