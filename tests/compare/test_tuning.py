"""What stands in ``tuning.json``, with trials whose scores are made up; test_runner.py makes real ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from filelock import FileLock

from jepa_vl.compare.plan import Comparison
from jepa_vl.compare.runs import tuning
from jepa_vl.compare.runs.job import Job
from jepa_vl.compare.runs.lock import lock_file, locked
from jepa_vl.compare.runs.trial import TrialRecord, write_trial

Compare = Callable[..., Comparison]
FILE = Path("runs/compare/squares/tuning.json")
VALUES = "compare.tune.values=[1.0e-3, 1.0e-2, 1.0e-1]"


@pytest.fixture(autouse=True)
def scored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lower rate is better for one arm, the higher for the other."""

    def here(job: Job, say: Callable[[str], None]) -> int:
        score = job.trial if job.arm == "token" else -job.trial
        write_trial(
            job, TrialRecord(arm=job.arm, value=job.trial, key=job.key, state="finished", score=score)
        )
        return 0

    monkeypatch.setattr(tuning, "run_child", here)


def tune(comparison: Comparison, arm: str) -> dict[str, Any]:
    tuning.tune(comparison, [arm], command="", say=lambda text: None)
    written: dict[str, Any] = json.loads(FILE.read_text())
    return written


def test_arms_that_are_tuned_one_by_one_stand_beside_each_other(compare: Compare) -> None:
    comparison = compare(VALUES)
    tune(comparison, "jepa")
    written = tune(comparison, "token")
    assert written["chosen"] == {"jepa": 1e-3, "token": 1e-1}
    assert [trial["arm"] for trial in written["trials"]] == ["jepa"] * 3 + ["token"] * 3
    assert [text.split(":")[0] for text in written["warnings"]] == ["jepa", "token"]  # both at an end


@pytest.mark.parametrize(
    "other", ["compare.tune.budget=1", "compare.tune.seed=7", VALUES.replace("e-2", "e-4")]
)
def test_what_was_tuned_in_another_way_does_not(compare: Compare, other: str) -> None:
    tune(compare(VALUES), "jepa")
    assert tune(compare(VALUES, other), "token")["chosen"].keys() == {"token"}


def test_a_trial_that_another_process_is_at_is_waited_for_when_the_others_are_done(
    compare: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "POLL", 0)
    comparison = compare(VALUES)
    first, *others = tuning.trials(comparison, comparison.arm("jepa"), "")
    elsewhere = locked(lock_file(first.folder))
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if "waiting" in text:
            write_trial(first, TrialRecord(arm="jepa", value=1e-3, key=first.key, state="finished", score=9))
            elsewhere.__exit__(None, None, None)

    elsewhere.__enter__()
    tuning.tune(comparison, ["jepa"], command="", say=say)
    assert [text.split(" · ")[1] for text in said[:2]] == [job.label for job in others]
    assert said[2].startswith(f"{first.label} · waiting for process ")
    assert json.loads(FILE.read_text())["chosen"] == {"jepa": 1e-3}
    assert len(said) == 4


def test_two_processes_that_end_at_once_lose_nothing_of_each_other(compare: Compare) -> None:
    comparison = compare(VALUES)
    tune(comparison, "jepa")
    text = FILE.read_text()
    FILE.unlink()
    with FileLock(FILE.with_suffix(".lock")):  # the other one, which reads, and has not written yet
        thread = Thread(target=tune, args=(comparison, "token"))
        thread.start()
        thread.join(0.5)
        assert not FILE.exists()
        FILE.write_text(text)
    thread.join()
    assert json.loads(FILE.read_text())["chosen"] == {"jepa": 1e-3, "token": 1e-1}
