from __future__ import annotations

from jepa_vl.errors import RecipeError, UserError, did_you_mean, nearest


def test_the_nearest_name_is_offered_first() -> None:
    assert nearest("infonce", ["info_nce", "sigmoid"]) == ["info_nce"]
    assert did_you_mean("infonce", ["info_nce", "sigmoid"]) == "did you mean 'info_nce'?"


def test_all_names_are_listed_when_none_is_near() -> None:
    assert did_you_mean("zzz", ["b", "a"]) == "choose from a, b"
    assert "nothing" in did_you_mean("zzz", [])


def test_a_wrong_recipe_ends_with_2_and_a_failed_run_with_1() -> None:
    assert (RecipeError("").exit_status, UserError("").exit_status) == (2, 1)
