from __future__ import annotations

import multiprocessing
import pickle
import sys
from pathlib import Path

import pytest

from jepa_vl import registry
from jepa_vl.errors import RecipeError
from jepa_vl.registry import load_local

PLUGIN = """
from jepa_vl.losses.base import Loss
from jepa_vl.registry import register

@register("losses", "{name}")
class MyLoss(Loss): ...
"""


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_what_a_file_registers_can_be_named_with_the_file_as_its_source(tmp_path: Path) -> None:
    file = tmp_path / "local_one.py"
    file.write_text(PLUGIN.format(name="local_one"))
    assert load_local(["local_one.py"], folder=tmp_path) == [str(file)]
    assert registry.get("losses", "local_one").__name__ == "MyLoss"
    assert registry.entry("losses", "local_one").source == str(file)


def test_a_local_class_unpickles_in_a_spawned_worker(tmp_path: Path) -> None:
    (tmp_path / "local_spawned.py").write_text("def answer(): return 42")
    load_local(["local_spawned.py"], folder=tmp_path)
    import local_spawned  # type: ignore[import-not-found]

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(pickle.loads(pickle.dumps(local_spawned.answer))) == 42


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "my_encoder.py").write_text("")
    with pytest.raises(RecipeError, match=r"my_encodre\.py does not exist; did you mean 'my_encoder\.py'"):
        load_local(["my_encodre.py"], folder=tmp_path)


def test_a_file_with_the_name_of_an_installed_module_is_refused_not_ignored(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(PLUGIN.format(name="never"))
    with pytest.raises(RecipeError, match="rename the file"):
        load_local(["torch.py"], folder=tmp_path)


def test_two_files_of_one_name_in_two_folders_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "local_same.py").write_text(PLUGIN.format(name="local_same"))
    load_local(["a/local_same.py"], folder=tmp_path)
    with pytest.raises(RecipeError, match="name of another module"):
        load_local(["b/local_same.py"], folder=tmp_path)


def test_an_error_in_a_file_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "local_wrong.py").write_text("x = 1\ny = 1 / 0\n")
    with pytest.raises(RecipeError, match=r"local_wrong\.py:2 cannot be loaded: ZeroDivisionError"):
        load_local(["local_wrong.py"], folder=tmp_path)


def test_a_name_that_cannot_be_imported_is_refused(tmp_path: Path) -> None:
    (tmp_path / "my-encoder.py").write_text("")
    with pytest.raises(RecipeError, match=r"expected a name like my_encoder\.py"):
        load_local(["my-encoder.py"], folder=tmp_path)


def test_a_module_can_be_named_too_and_a_missing_one_is_an_error() -> None:
    assert load_local(["json"]) == ["json"]
    with pytest.raises(RecipeError, match="plugin surely_not_there cannot be loaded"):
        load_local(["surely_not_there"])
