from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jepa_vl.errors import RecipeError
from jepa_vl.recipe import load_recipe
from jepa_vl.recipe.resolve import resolve

RECIPE = """\
name: tried
plugins: [resolve_parts.py]
objective:
  class_path: tried_objective
  init_args:
    teacher: tried_vision
    losses: [l1, {class_path: info_nce, init_args: {temperature: 0.1}}]
    word: info_nce
    settings: {lr: 1e-4}
data: {class_path: manifest, init_args: {manifest: a.jsonl}}
tasks: retrieval
trainer: {max_steps: 3}
"""

PARTS = """\
from dataclasses import dataclass

from jepa_vl.losses.base import Loss
from jepa_vl.objectives.base import Objective
from jepa_vl.registry import register
from jepa_vl.vision.base import VisionEncoder


@dataclass
class Settings:
    lr: float = 1.0


@register("vision", "tried_vision")
class Vision(VisionEncoder):
    def __init__(self, *, width: int = 3) -> None: ...


@register("objectives", "tried_objective")
class Tried(Objective):
    def __init__(
        self,
        *,
        teacher: VisionEncoder,
        losses: list[Loss],
        word: str = "",
        settings: Settings = Settings(),
        loss=None,
        predictor: str | None = None,
    ) -> None: ...
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # one folder for all tests: the plugin stays imported from there
    folder = tmp_path.parent / "resolve"
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    if not Path("resolve_parts.py").exists():
        Path("resolve_parts.py").write_text(PARTS)


def resolved(text: str = RECIPE, *overrides: tuple[str, str]) -> dict[str, Any]:
    Path("recipe.yaml").write_text(text)
    return resolve(load_recipe(["recipe.yaml"], overrides))


def complaint(text: str = RECIPE, *overrides: tuple[str, str]) -> str:
    with pytest.raises(RecipeError) as caught:
        resolved(text, *overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_names_become_class_paths_wherever_a_type_asks_for_a_part() -> None:
    values = resolved()
    assert values["objective"]["class_path"] == "resolve_parts.Tried"
    arguments = values["objective"]["init_args"]
    assert arguments["teacher"] == {"class_path": "resolve_parts.Vision", "init_args": {}}
    assert [part["class_path"] for part in arguments["losses"]] == [
        "jepa_vl.losses.frozen_target.L1Loss",
        "jepa_vl.losses.info_nce.InfoNCE",
    ]
    assert values["tasks"] == [{"class_path": "jepa_vl.tasks.retrieval.RetrievalTask", "init_args": {}}]


def test_a_plain_word_is_no_part_even_under_the_key_or_the_name_of_one() -> None:
    arguments = resolved(RECIPE.replace("word: info_nce", "word: info_nce\n    predictor: transformer"))
    assert arguments["objective"]["init_args"]["word"] == "info_nce"
    assert arguments["objective"]["init_args"]["predictor"] == "transformer"


def test_an_argument_without_a_type_is_a_part_by_its_name() -> None:
    values = resolved(RECIPE, ("objective.loss", "l2"))
    assert values["objective"]["init_args"]["loss"]["class_path"] == "jepa_vl.losses.frozen_target.L2Loss"


def test_a_full_class_path_is_as_good_as_a_name_and_is_checked_alike() -> None:
    values = resolved(RECIPE, ("objective.teacher", "resolve_parts.Vision"))
    assert values["objective"]["init_args"]["teacher"]["class_path"] == "resolve_parts.Vision"
    assert "is not a VisionEncoder" in complaint(RECIPE, ("objective.teacher", "resolve_parts.Tried"))
    assert "No module named 'nowhere'" in complaint(RECIPE, ("objective.teacher", "nowhere.Vision"))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("trainer:", "trianer:", "recipe.yaml:12: trianer: unknown key; did you mean 'trainer'?"),
        (
            "max_steps",
            "max_stpes",
            "recipe.yaml:12: trainer.max_stpes: unknown argument of Trainer; did you mean 'max_steps'",
        ),
        ("max_steps: 3", "max_steps: soon", "recipe.yaml:12: trainer.max_steps: expected int, found 'soon'"),
        (
            "word: info_nce",
            "wrod: x",
            "recipe.yaml:8: objective.wrod: unknown argument of Tried; did you mean 'word'?",
        ),
        ("word: info_nce", "word: 3", "recipe.yaml:8: objective.word: expected str, found 3"),
        (
            "{lr: 1e-4}",
            "{lrr: 1}",
            "recipe.yaml:9: objective.settings.lrr: unknown argument of Settings; did you mean 'lr'?",
        ),
        ("{lr: 1e-4}", "{lr: hot}", "recipe.yaml:9: objective.settings.lr: expected float, found 'hot'"),
        (
            "[l1,",
            "[l11,",
            "recipe.yaml:7: objective.losses.0: unknown name 'l11' in group 'losses'; did you mean 'l1'",
        ),
        (
            "temperature",
            "temprature",
            "7: objective.losses.1.temprature: unknown argument of InfoNCE; did you mean 'temperature'?",
        ),
        (
            "    teacher: tried_vision\n",
            "",
            "recipe.yaml:5: objective.teacher: it is missing; Tried needs it (VisionEncoder)",
        ),
        (
            "teacher: tried_vision",
            "teacher: {width: 3}",
            "objective.teacher.width: expected class_path and init_args here; write it under init_args",
        ),
        (
            "teacher: tried_vision",
            "teacher: {init_args: {width: 3}}",
            "recipe.yaml:6: objective.teacher: it has no class_path; choose from",
        ),
        (
            "teacher: tried_vision",
            "teacher: 3",
            "recipe.yaml:6: objective.teacher: expected the name of a part of group 'vision', found 3",
        ),
        (
            "{manifest: a.jsonl}",
            "{}",
            "data.manifest: it is missing; ManifestData needs it (str or list of str)",
        ),
        ("tasks: retrieval", "tasks: 3", "recipe.yaml:11: tasks: expected a list of tasks, found 3"),
        (
            "tasks: retrieval",
            "tasks: [retrieva]",
            "recipe.yaml:11: tasks.0: unknown name 'retrieva' in group 'tasks'; did you mean 'retrieval'",
        ),
        (
            "trainer: {max_steps: 3}",
            "trainer: fast",
            "recipe.yaml:12: trainer: expected arguments of Lightning's Trainer, found 'fast'",
        ),
        (
            "resolve_parts.py",
            "resolve_prats.py",
            "resolve_prats.py does not exist; did you mean 'resolve_parts.py'",
        ),
        (
            "data: {class_path: manifest, init_args: {manifest: a.jsonl}}\n",
            "",
            "the recipe has no 'data'; choose from ",
        ),
    ],
)
def test_a_mistake_is_one_message_with_line_key_and_the_nearest_choice(old: str, new: str, says: str) -> None:
    assert old in RECIPE
    assert says in complaint(RECIPE.replace(old, new))


def test_a_mistake_on_the_command_line_says_so() -> None:
    said = complaint(RECIPE, ("trainer.precision", "bf16-mixd"))
    assert said.startswith("command line: trainer.precision: expected one of ")
    assert "did you mean 'bf16-mixed'" in said


@pytest.mark.parametrize("value", ["{}", "[{}]"])
def test_classes_that_are_no_parts_of_ours_are_checked_too(value: str) -> None:
    path = "lightning.pytorch.callbacks.ModelCheckpoint"
    typo = value.format(f"{{class_path: {path}, init_args: {{monitr: x}}}}")
    assert "unknown argument of ModelCheckpoint; did you mean 'monitor'" in complaint(
        RECIPE, ("trainer.callbacks", typo)
    )
    missing = value.format(f"{{class_path: {path}s}}")
    assert f"'{path}s' cannot be imported" in complaint(RECIPE, ("trainer.callbacks", missing))


def test_what_a_class_keeps_for_others_is_left_to_the_parser() -> None:
    path = "lightning.pytorch.strategies.DDPStrategy"
    given = {"timeout": "0:05:00", "gradient_as_bucket_view": True, "static_graph": True}
    text = f"{{class_path: {path}, init_args: {given}}}"
    strategy = resolved(RECIPE, ("trainer.strategy", text))["trainer"]["strategy"]
    assert strategy == {"class_path": path, "init_args": given}
    typo = text.replace("static_graph", "static_grap")
    assert "trainer.strategy: expected str or Strategy" in complaint(RECIPE, ("trainer.strategy", typo))


def test_a_null_part_stays_null() -> None:
    values = resolved(RECIPE.replace("word: info_nce", "loss: null"))
    assert values["objective"]["init_args"]["loss"] is None
