from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jepa_vl.errors import RecipeError
from jepa_vl.registry import GROUPS
from jepa_vl.registry.table import Table

Install = Callable[..., Path]

ONE_OF_EACH = """
from pathlib import Path
from jepa_vl.data.base import SampleData
from jepa_vl.decoders.base import TextDecoder
from jepa_vl.language.base import LanguageModel
from jepa_vl.losses.base import Loss
from jepa_vl.objectives.base import Objective
from jepa_vl.predictors.base import Predictor
from jepa_vl.readers.base import Reader
from jepa_vl.streaming.base import Policy
from jepa_vl.streaming.triggers.base import Trigger
from jepa_vl.tasks.base import Task
from jepa_vl.text.base import TextEncoder
from jepa_vl.vision.base import VisionEncoder

class Vision(VisionEncoder): ...
class Predict(Predictor): ...
class Text(TextEncoder): ...
class Language(LanguageModel): ...
class Decoder(TextDecoder): ...
class MyLoss(Loss): ...
class MyObjective(Objective): ...
class Data(SampleData): ...
class MyTask(Task): ...
class MyReader(Reader): ...
class MyPolicy(Policy): ...
class MyTrigger(Trigger): ...
def weights(): return Path("there")
"""

TARGETS = {
    "vision": "Vision",
    "predictors": "Predict",
    "text": "Text",
    "language": "Language",
    "decoders": "Decoder",
    "losses": "MyLoss",
    "objectives": "MyObjective",
    "data": "Data",
    "tasks": "MyTask",
    "readers": "MyReader",
    "policies": "MyPolicy",
    "triggers": "MyTrigger",
    "weights": "weights",
}


def test_every_documented_group_is_read_from_an_installed_distribution(install: Install) -> None:
    assert set(TARGETS) == set(GROUPS)
    points = {f"jepa_vl.{g}": {f"mine_{g}": f"one_of_each:{t}"} for g, t in TARGETS.items()}
    install("one-of-each", {"one_of_each": ONE_OF_EACH}, points, version="2.3")
    table = Table()
    for group, target in TARGETS.items():
        name = f"mine_{group}"
        assert name in table.names(group)
        assert table.entry(group, name).source == "one-of-each 2.3"
        assert table.get(group, name).__name__ == target


def test_discovery_imports_nothing(install: Install) -> None:
    install(
        "sleeping",
        {"sleeping": "raise SystemError('imported')"},
        {"jepa_vl.losses": {"asleep": "sleeping:X"}},
    )
    assert "asleep" in Table().names("losses")
    assert "sleeping" not in sys.modules


def test_a_collision_names_both_distributions_and_harms_only_that_name(install: Install) -> None:
    source = "from jepa_vl.losses.base import Loss\nclass L(Loss): ...\n"
    install(
        "left-one", {"left_one": source}, {"jepa_vl.losses": {"twice": "left_one:L", "once": "left_one:L"}}
    )
    install("right-one", {"right_one": source}, {"jepa_vl.losses": {"twice": "right_one:L"}}, version="0.2")
    table = Table()
    with pytest.raises(RecipeError, match=r"(?=.*left-one 1\.0)(?=.*right-one 0\.2)"):
        table.get("losses", "twice")
    assert table.get("losses", "once").__name__ == "L"
    assert table.get("losses", "info_nce").__name__ == "InfoNCE"


def test_a_plugin_cannot_silently_replace_a_built_in_part(install: Install) -> None:
    source = "from jepa_vl.losses.base import Loss\nclass L(Loss): ...\n"
    install("usurper", {"usurper": source}, {"jepa_vl.losses": {"info_nce": "usurper:L"}})
    with pytest.raises(RecipeError, match=r"registered 2 times: by built-in .* and usurper 1\.0"):
        Table().get("losses", "info_nce")


def test_one_distribution_found_twice_is_one(install: Install) -> None:
    source = "from jepa_vl.losses.base import Loss\nclass L(Loss): ...\n"
    for folder in ("editable", "site"):
        install(
            "my.plugin", {"my_plugin": source}, {"jepa_vl.losses": {"mine": "my_plugin:L"}}, folder=folder
        )
    assert [e.name for e in Table().entries("losses")].count("mine") == 1


@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        ("import surely_not_there", "broken:L", "ModuleNotFoundError: No module named 'surely_not_there'"),
        ("def f(:", "broken:L", "SyntaxError"),
        ("x = 1", "broken:L", "AttributeError: module 'broken' has no attribute 'L'"),
        ("raise SystemExit('bye')", "broken:L", "SystemExit: bye"),
        ("class L: ...", "broken:L", "is not a Loss, the contract of group 'losses'"),
        ("L = 3", "broken:L", "is a int, not a class or function"),
    ],
)
def test_a_broken_plugin_says_whose_it_is_and_why_and_harms_no_other(
    install: Install, source: str, target: str, says: str
) -> None:
    install("broken-plugin", {"broken": source}, {"jepa_vl.losses": {"bad": target}})
    table = Table()
    with pytest.raises(RecipeError) as caught:
        table.get("losses", "bad")
    assert says in str(caught.value)
    assert "broken-plugin 1.0" in str(caught.value)
    assert "'bad'" in str(caught.value)
    assert table.get("losses", "l1").__name__ == "L1Loss"
