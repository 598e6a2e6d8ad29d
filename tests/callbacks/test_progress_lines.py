"""Progress that can be read in a log."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from lightning.pytorch.callbacks import TQDMProgressBar

from jepa_vl.callbacks.defaults import default_callbacks
from jepa_vl.callbacks.progress_lines import ProgressLines

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def test_a_log_gets_whole_lines_with_step_loss_and_time_left(
    fake: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = fake.FakeData()
    fake.trainer_for(tmp_path / "run", data).fit(fake.FakeObjective(), data)
    printed = capsys.readouterr().out
    assert "\r" not in printed
    steps = [line for line in printed.splitlines() if line.startswith("step ")]
    assert steps[0].startswith("step 1/12 · train/loss ")
    assert steps[0].endswith(" left")
    assert any(line.startswith("step 12/12") for line in steps)
    assert any("validated · retrieval text-to-video R@1" in line for line in steps)


def test_lines_are_seconds_apart(
    fake: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = fake.FakeData()
    fake.trainer_for(tmp_path / "run", data, max_steps=30, val_check_interval=30).fit(
        fake.FakeObjective(), data
    )
    lines = [line for line in capsys.readouterr().out.splitlines() if "left" in line]
    assert len(lines) == 2  # the first and the last step of a run of less than ten seconds


def test_a_terminal_gets_a_bar(fake: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kinds() -> set[type]:
        return {type(c) for c in default_callbacks(run_dir=tmp_path, tasks=[], data=fake.FakeData())}

    assert ProgressLines in kinds()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert TQDMProgressBar in kinds()


def test_disabled_it_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ProgressLines()
    lines.disable()
    lines.print("no")
    lines.enable()
    lines.print("yes [not markup]")
    assert capsys.readouterr().out == "yes [not markup]\n"
