"""Every command that README and docs show is run, shrunk to seconds where it would train."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from jepa_vl.__main__ import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHOWN = re.compile(
    r"^(?: {4}|\$ )((?:jepa-vl|make|pip|tensorboard|git|\.venv/bin/\S+) ?.*?)(?:\s+#.*)?$", re.M
)
#: Commands that need no run here: what they do is done by the test run itself, or by another test.
DONE_ELSEWHERE = ("git clone", "pip install", "tensorboard --logdir", "make ")


def shown() -> list[str]:
    """Return every command of every page, once, in the order they stand."""
    commands = [c.strip() for page in PAGES for c in SHOWN.findall(page.read_text())]
    return list(dict.fromkeys(commands))


COMMANDS = [c for c in shown() if c.startswith("jepa-vl")]
RECIPE_VERBS = ("fit", "validate", "test", "predict", "prepare", "compare")


def runs(command: str) -> bool:
    """Whether a command trains, evaluates or prepares."""
    return command.split()[1] in RECIPE_VERBS and "help" not in command


def test_there_is_nothing_shown_that_nothing_runs() -> None:
    assert len(COMMANDS) > 15
    assert [c for c in shown() if not c.startswith(("jepa-vl", *DONE_ELSEWHERE))] == []


@pytest.mark.parametrize("verb", [c.split()[1] for c in shown() if c.startswith("make ")])
def test_make_knows_the_verb(verb: str) -> None:
    done = subprocess.run(["make", "-n", verb], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_make_quickstart_is_the_two_commands_without_make() -> None:
    done = subprocess.run(["make", "-n", "quickstart"], cwd=ROOT, capture_output=True, text=True, check=True)
    commands = [line.split("bin/")[-1] for line in done.stdout.splitlines() if "jepa-vl" in line]
    assert commands == [f"jepa-vl {verb} --config recipes/quickstart.yaml" for verb in ("fit", "test")]


@pytest.mark.parametrize("command", [c for c in COMMANDS if not runs(c)])
def test_a_shown_command_works(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert main(shlex.split(command)[1:]) == 0


@pytest.mark.slow
def test_the_shown_runs_work(
    tmp_path: Path, new_cache: Callable[[], Path], monkeypatch: pytest.MonkeyPatch, shrink: list[str]
) -> None:
    """In one folder and in the order a reader meets them, so that `test` finds what `fit` wrote."""
    monkeypatch.setenv("JEPA_VL_CACHE", str(new_cache()))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    for command in filter(runs, COMMANDS):
        if "smollm2" in command:  # tests/recipes runs these
            continue
        small = [] if "--inspect" in command else shrink
        more = ["--trainer.max_steps", "3"] if "--ckpt_path last" in command else []
        assert main([*shlex.split(command)[1:], *small, *more]) == 0, command
