from __future__ import annotations

from pathlib import Path

import pytest

from jepa_vl.errors import RecipeError
from jepa_vl.recipe import load_recipe
from jepa_vl.recipe.merge import lay_over, with_value


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(**files: str) -> None:
    for name, text in files.items():
        path = Path(name.replace("__", "/") + ".yaml")
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)


PART = "objective:\n  class_path: jepa\n  init_args:\n    dim: 3\n    loss: l1\n"


def test_imports_are_merged_key_by_key_and_the_importing_recipe_wins() -> None:
    write(top="import: base__one.yaml\na: {x: 2, z: 3}\nlist: [9]\n".replace("__", "/"))
    write(base__one="import: two.yaml\na: {x: 1, y: 1}\nlist: [1, 2]\n", base__two="a: {w: 0}\nb: 5\n")
    recipe = load_recipe(["top.yaml"])
    assert recipe.values == {"a": {"w": 0, "x": 2, "y": 1, "z": 3}, "b": 5, "list": [9]}
    assert recipe.place(("a", "x")) == "top.yaml:2"
    assert recipe.place(("a", "y")) == "base/one.yaml:2"
    assert recipe.place(("list", 0)) == "top.yaml:3"


def test_several_imports_and_several_configs_go_over_each_other_in_order() -> None:
    write(one="a: 1\nb: 1\n", two="a: 2\n", top="import: [one.yaml, two.yaml]\n", more="b: 3\n")
    assert load_recipe(["top.yaml", "more.yaml"]).values == {"a": 2, "b": 3}


def test_another_class_starts_afresh_and_the_same_class_keeps_its_arguments() -> None:
    write(base=PART)
    write(other="import: base.yaml\nobjective: {class_path: token, init_args: {k: 1}}\n")
    write(same="import: base.yaml\nobjective: {class_path: jepa, init_args: {dim: 4}}\n")
    write(bare="import: base.yaml\nobjective: {init_args: {loss: {init_args: {p: 2}}}}\n")
    assert load_recipe(["other.yaml"]).values["objective"] == {"class_path": "token", "init_args": {"k": 1}}
    assert load_recipe(["same.yaml"]).values["objective"]["init_args"] == {"dim": 4, "loss": "l1"}
    assert load_recipe(["bare.yaml"]).values["objective"]["init_args"]["loss"] == {
        "class_path": "l1",
        "init_args": {"p": 2},
    }


def test_recipes_that_import_each_other_are_refused() -> None:
    write(a="import: b.yaml\n", b="import: c.yaml\n", c="import: b.yaml\n")
    with pytest.raises(RecipeError, match=r"circle: b\.yaml → c\.yaml → b\.yaml"):
        load_recipe(["a.yaml"])


def test_a_missing_import_names_the_line_that_asks_for_it() -> None:
    write(top="a: 1\nimport: bsae.yaml\n", base="a: 1\n")
    with pytest.raises(
        RecipeError, match=r"top\.yaml:2: .*bsae\.yaml does not exist; did you mean 'base\.yaml'"
    ):
        load_recipe(["top.yaml"])


def test_plugins_add_up_and_are_relative_to_their_own_recipe(tmp_path: Path) -> None:
    write(top="import: sub/base.yaml\nplugins: mine.py\n", sub__base="plugins: [theirs.py, a_module]\n")
    recipe = load_recipe(["top.yaml"], [("plugins", "typed.py")])
    assert recipe.values["plugins"] == [
        str(tmp_path / "sub" / "theirs.py"),
        "a_module",
        str(tmp_path / "mine.py"),
        str(tmp_path / "typed.py"),
    ]


def test_the_command_line_goes_into_parts_without_saying_init_args() -> None:
    write(base=PART)
    overrides = [("objective.dim", "5"), ("objective.loss.p", "2"), ("objective.init_args", "{}")]
    recipe = load_recipe(["base.yaml"], overrides[:2])
    assert recipe.values["objective"]["init_args"] == {
        "dim": "5",
        "loss": {"class_path": "l1", "init_args": {"p": "2"}},
    }
    assert recipe.place(("objective", "init_args", "dim")) == "command line"
    assert recipe.place(("objective", "class_path")) == "base.yaml:2"


def test_init_args_may_be_said_all_the_same() -> None:
    write(base=PART)
    overrides = [("objective.init_args.dim", "5"), ("objective.init_args.loss.init_args.p", "2")]
    assert load_recipe(["base.yaml"], overrides).values["objective"]["init_args"] == {
        "dim": "5",
        "loss": {"class_path": "l1", "init_args": {"p": "2"}},
    }


def test_a_part_chosen_on_the_command_line_loses_the_arguments_of_the_other() -> None:
    write(base="objective: {class_path: jepa, init_args: {loss: {class_path: l1, init_args: {p: 2}}}}\n")
    chosen = load_recipe(["base.yaml"], [("objective.loss", "l2"), ("objective.loss.q", "3")])
    assert chosen.values["objective"]["init_args"]["loss"] == {"class_path": "l2", "init_args": {"q": "3"}}
    same = load_recipe(["base.yaml"], [("objective.loss", "l1")])
    assert same.values["objective"]["init_args"]["loss"] == {"class_path": "l1", "init_args": {"p": 2}}


def test_a_word_in_place_of_a_class_with_arguments_stays_a_word() -> None:
    """A run on one process of what was sharded over several says ``--trainer.strategy auto``."""
    write(base="trainer: {strategy: {class_path: a.Sharded, init_args: {size: 2}}}\n")
    auto = load_recipe(["base.yaml"], [("trainer.strategy", "auto")])
    assert auto.values["trainer"] == {"strategy": "auto"}
    other = load_recipe(["base.yaml"], [("trainer.strategy", "a.Other")])
    assert other.values["trainer"] == {"strategy": {"class_path": "a.Other"}}


def test_an_item_of_a_list_is_named_by_its_number() -> None:
    write(base="tasks: [retrieval, {class_path: vqa, init_args: {n: 1}}]\n")
    recipe = load_recipe(["base.yaml"], [("tasks.1.n", "4"), ("tasks.0", "classification")])
    assert recipe.values["tasks"] == ["classification", {"class_path": "vqa", "init_args": {"n": "4"}}]
    with pytest.raises(RecipeError, match="expected the number of an item, 0 to 1, found '2'"):
        load_recipe(["base.yaml"], [("tasks.2.n", "4")])


def test_a_value_has_no_keys_under_it() -> None:
    write(base="a: {b: 3}\n")
    with pytest.raises(RecipeError, match=r"--a\.b\.c: 'a\.b' is 3 and has no keys under it"):
        load_recipe(["base.yaml"], [("a.b.c", "4")])


def test_a_recipe_can_be_told_on_the_command_line_alone() -> None:
    recipe = load_recipe([], [("objective", "jepa"), ("objective.loss", "l1"), ("data.x", "1")])
    assert recipe.values == {
        "objective": {"class_path": "jepa", "init_args": {"loss": "l1"}},
        "data": {"x": "1"},
    }


def test_a_part_without_a_class_yet_takes_arguments_from_the_command_line() -> None:
    write(base="objective: {init_args: {dim: 3}}\n")
    recipe = load_recipe(["base.yaml"], [("objective.dim", "5")])
    assert recipe.values == {"objective": {"init_args": {"dim": "5"}}}


def test_laying_over_and_setting_leave_the_recipes_below_as_they_are() -> None:
    write(base=PART, top="a: {objective: {init_args: {dim: 4}}}\n")
    base, top = load_recipe(["base.yaml"]), load_recipe(["top.yaml"]).below(("a",))
    merged = with_value(lay_over(base, top), "objective.loss", "l2", "here")
    assert merged.values["objective"]["init_args"] == {"dim": 4, "loss": "l2"}
    assert base.values["objective"]["init_args"] == {"dim": 3, "loss": "l1"}
    assert merged.place(("objective", "init_args", "dim")) == "top.yaml:1"
    assert merged.place(("objective", "init_args", "loss")) == "here"
    assert merged.place(("objective", "class_path")) == "base.yaml:2"
