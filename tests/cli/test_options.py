from __future__ import annotations

import pytest

from jepa_vl.cli.options import read_options
from jepa_vl.errors import RecipeError

OPTIONS = ("--config", "--check")


def read(*argv: str) -> list[tuple[str, str]]:
    return list(read_options(argv, OPTIONS, flags=("--check",)))


def test_a_value_stands_behind_its_option_or_its_equals_sign() -> None:
    assert read("-c", "a.yaml", "--check", "--x.y=-1", "--z", "") == [
        ("-c", "a.yaml"), ("--check", ""), ("--x.y", "-1"), ("--z", ""),
    ]  # fmt: skip


def test_the_short_form_is_unexpected_where_there_is_no_recipe() -> None:
    with pytest.raises(RecipeError, match="unexpected '-c'"):
        list(read_options(["-c", "a.yaml"], ("--suite",), flags=()))


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["chekc"], "unexpected 'chekc'"),
        (["--config"], "--config needs a value: --config VALUE"),
        (["--config", "--check"], "--config needs a value"),
    ],
)
def test_a_word_without_its_place_is_one_error(argv: list[str], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        read(*argv)
