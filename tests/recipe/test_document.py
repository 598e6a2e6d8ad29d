from __future__ import annotations

from pathlib import Path

import pytest

from jepa_vl.errors import RecipeError
from jepa_vl.recipe.document import Recipe, dotted, read_value, read_yaml


def written(folder: Path, text: str, name: str = "recipe.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_every_key_knows_its_line(tmp_path: Path) -> None:
    recipe = read_yaml(written(tmp_path, "a: 1\n# note\nb:\n  c: 2\n  d: [x,\n      y]\n"))
    assert recipe.values == {"a": 1, "b": {"c": 2, "d": ["x", "y"]}}
    lines = {dotted(k): place.rpartition(":")[2] for k, place in recipe.places.items()}
    assert lines == {"a": "1", "b": "3", "b.c": "4", "b.d": "5", "b.d.0": "5", "b.d.1": "6"}


def test_a_key_without_a_line_of_its_own_stands_where_its_parent_does() -> None:
    recipe = Recipe({}, {("a",): "f.yaml:3"})
    assert str(recipe.error(("a", "b", "c"), "is wrong")) == "f.yaml:3: a.b.c: is wrong"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: [1,\n", r"recipe\.yaml:3: not valid YAML"),
        ("a: 1\n b: 2\n", r"recipe\.yaml:2: not valid YAML: mapping values are not allowed here"),
        ("a: 1\nb: 2\na: 3\n", r"recipe\.yaml:3: a: this key stands twice, first at .*recipe\.yaml:1"),
        ("- a\n- b\n", "expected `key: value` lines"),
        ("a: \x07\n", "not valid YAML"),
    ],
)
def test_bad_yaml_names_file_line_and_problem(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        read_yaml(written(tmp_path, text))


def test_a_file_that_is_not_text_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(RecipeError, match="not valid YAML"):
        read_yaml(tmp_path / "recipe.yaml")


def test_a_missing_recipe_names_the_nearest(tmp_path: Path) -> None:
    written(tmp_path, "", "quickstart.yaml")
    with pytest.raises(
        RecipeError, match=r"quickstrat\.yaml does not exist; did you mean 'quickstart\.yaml'"
    ):
        read_yaml(tmp_path / "quickstrat.yaml")


def test_an_empty_file_is_an_empty_recipe(tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, "# nothing\n")).values == {}


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.5e3", "-2e4", ".5e-1"])
def test_numbers_with_an_exponent_are_numbers(tmp_path: Path, text: str) -> None:
    assert read_yaml(written(tmp_path, f"a: {text}\n")).values == {"a": float(text)}


def test_a_word_on_the_command_line_is_left_to_the_type_of_its_argument() -> None:
    assert read_value("5") == "5"
    assert read_value("true") == "true"
    assert read_value("a: b: c") == "a: b: c"
    assert read_value("[1, x]") == [1, "x"]
    assert read_value("{a: 1}") == {"a": 1}
