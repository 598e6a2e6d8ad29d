from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from jepa_vl.errors import RecipeError, UserError
from jepa_vl.runs import best_or_last, find_checkpoint, make_room, run_folder


def a_checkpoint(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", "x" * 1000)
    return path


@pytest.mark.parametrize("name", ["", "..", "../x", "a/../../x", "/tmp/x"])
def test_a_run_stays_under_runs(name: str) -> None:
    with pytest.raises(RecipeError, match="under runs/"):
        run_folder(name)


def test_a_run_may_lie_in_a_folder_of_runs() -> None:
    assert run_folder("sweep/a") == Path("runs/sweep/a")


def test_only_a_folder_with_a_run_makes_room_and_numbers_never_repeat(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert make_room(run) is None
    run.mkdir()
    (run / "events").touch()
    assert make_room(run) is None
    for number in (1, 2):
        a_checkpoint(run / "checkpoints" / "last.ckpt")
        assert make_room(run) == tmp_path / f"run.{number}"
    assert (tmp_path / "run.1" / "events").exists()
    run.mkdir()
    (run / "results.json").touch()
    assert make_room(run) == tmp_path / "run.3"


def test_last_and_best_are_files_of_the_run(tmp_path: Path) -> None:
    last = a_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    assert find_checkpoint("last", tmp_path) == last
    with pytest.raises(UserError, match=r"has no best checkpoint .*; there is last\.ckpt"):
        find_checkpoint("best", tmp_path)


def test_a_path_that_is_missing_names_the_nearest(tmp_path: Path) -> None:
    a_checkpoint(tmp_path / "last.ckpt")
    with pytest.raises(UserError, match=r"lats\.ckpt does not exist; did you mean '.*last\.ckpt'"):
        find_checkpoint(str(tmp_path / "lats.ckpt"), tmp_path)
    with pytest.raises(UserError, match="did you mean 'last'"):
        find_checkpoint("lst", tmp_path)


def test_half_a_checkpoint_is_noticed_before_it_is_loaded(tmp_path: Path) -> None:
    whole = a_checkpoint(tmp_path / "whole.ckpt").read_bytes()
    half = tmp_path / "half.ckpt"
    half.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"half\.ckpt is not a checkpoint, or only half of one"):
        find_checkpoint(str(half), tmp_path)


def test_a_run_that_was_never_validated_is_evaluated_by_its_last_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    assert best_or_last(tmp_path) == "best"  # whose absence is then the error
    (folder / "last.ckpt").touch()
    assert best_or_last(tmp_path) == "last"
    (folder / "best.ckpt").touch()
    assert best_or_last(tmp_path) == "best"
