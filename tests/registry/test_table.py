from __future__ import annotations

import pytest

from jepa_vl.errors import RecipeError
from jepa_vl.losses.base import Loss
from jepa_vl.losses.info_nce import InfoNCE
from jepa_vl.registry import GROUPS
from jepa_vl.registry.table import Table


def test_the_nearest_names_are_offered_for_a_typo() -> None:
    with pytest.raises(
        RecipeError, match="unknown name 'infonce' in group 'losses'; did you mean 'info_nce'"
    ):
        Table().get("losses", "infonce")


def test_a_name_of_another_group_is_found_there() -> None:
    with pytest.raises(RecipeError, match="'info_nce' is in group 'losses'"):
        Table().get("vision", "info_nce")


def test_an_unknown_group_is_an_error_not_an_empty_list() -> None:
    table = Table()
    for ask in (table.names, table.entries, lambda g: table.register(g, "x")):
        with pytest.raises(RecipeError, match="unknown group 'loses'; did you mean 'losses'"):
            ask("loses")


def test_a_decorated_class_is_found_by_its_name() -> None:
    table = Table()
    table.register("losses", "mine")(Mine)
    assert table.get("losses", "mine") is Mine
    assert table.entry("losses", "mine").source.endswith("test_table.py")


def test_decorating_a_built_in_class_or_twice_the_same_is_no_collision() -> None:
    table = Table()
    table.register("losses", "info_nce")(InfoNCE)
    table.register("losses", "mine")(Mine)
    table.register("losses", "mine")(Mine)
    assert table.get("losses", "info_nce") is InfoNCE
    assert table.get("losses", "mine") is Mine


def test_two_classes_decorated_with_one_name_collide_when_it_is_used() -> None:
    table = Table()
    table.register("losses", "mine")(Mine)
    table.register("losses", "mine")(Other)
    assert table.names("losses").count("mine") == 1
    with pytest.raises(RecipeError, match=r"registered 2 times: .*Mine.*Other"):
        table.get("losses", "mine")


@pytest.mark.parametrize("group", list(GROUPS))
def test_every_built_in_part_loads_and_keeps_its_contract(group: str) -> None:
    table = Table()
    for name, target in GROUPS[group].built_in.items():
        assert table.get(group, name).__name__ == target.partition(":")[2]


class Mine(Loss): ...


class Other(Loss): ...
