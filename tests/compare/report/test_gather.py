"""Reading the runs: nothing that is missing or wrong is dropped without a word."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from jepa_vl.compare.plan import Metric
from jepa_vl.compare.records import RunRecord
from jepa_vl.compare.statistics.gather import DECODED, gather
from jepa_vl.results import Results

MakeUp = Callable[..., Any]


def test_every_run_is_there_with_its_state_also_those_that_are_missing(made_up: MakeUp) -> None:
    made = made_up(seeds=(1, 2, 4))
    folder = made.write()
    shutil.rmtree(folder / "jepa" / "seed-2")
    found = gather(made.comparison(), folder)
    assert [(r.arm, r.seed, r.state) for r in found.runs] == [
        ("jepa", 1, "finished"),
        ("jepa", 2, "missing"),
        ("jepa", 4, "finished"),
        ("token", 1, "finished"),
        ("token", 2, "finished"),
        ("token", 4, "diverged"),
    ]
    assert [run.message for run in found.unfinished] == ["", "the loss is not a number at step 142"]
    assert [at is not None for at in found.of("token")[2].budgets] == [True, True, True, False, False]
    assert found.of("jepa")[1].budgets == (None,) * 5


def test_an_empty_folder_is_a_comparison_of_missing_runs(made_up: MakeUp) -> None:
    made = made_up()
    found = gather(made.comparison(metrics=()), made.folder)
    assert {run.state for run in found.runs} == {"missing"}
    assert (found.metrics, found.problems) == ((), ())


def test_what_it_reads_is_what_was_written(made_up: MakeUp) -> None:
    made = made_up(seeds=(1,), diverged=())
    folder = made.write()
    found = gather(made.comparison(), folder)
    at = found.of("token")[0].budgets[2]
    assert (at.samples, at.steps) == (3200, 100)
    stored = Results.load(folder / "token/seed-1/budgets/000100/results.json")
    assert at.rows["VQA, accuracy"] == stored.find("test", "vqa", "accuracy")
    each = at.outcomes["retrieval, text-to-video R@1"]  # under `gallery 64/…`
    assert len(each) == 60
    assert found.episodes["test"]["test/000007/vqa-3"] == "test/000007"


def test_outcomes_that_are_not_what_the_row_is_the_mean_of_are_not_used(made_up: MakeUp) -> None:
    made = made_up(seeds=(1,), diverged=())
    folder = made.write()
    path = folder / "token/seed-1/budgets/001000/results.json"
    results = Results.load(path)
    results.sets["test"] = [replace(r, value=r.value + 0.01) for r in results.sets["test"]]
    results.save(path)
    last = gather(made.comparison(), folder).of("token")[0].budgets[-1]
    assert last.rows
    assert not last.outcomes


def test_captions_of_an_arms_decoder_stand_beside_those_that_an_arm_says_itself(made_up: MakeUp) -> None:
    made = made_up(seeds=(1,), diverged=())
    folder = made.write()
    found = gather(made.comparison(metrics=()), folder)
    assert found.metrics[-1] == Metric(DECODED, "test", "captioning", "CIDEr")
    decoded = Results.load(folder / "jepa/seed-1/decoder/results.json")
    own = Results.load(folder / "token/seed-1/budgets/001000/results.json")
    jepa, token = (found.of(arm)[0].budgets[-1].rows[DECODED] for arm in ("jepa", "token"))
    assert jepa == decoded.find("test", "captioning", "CIDEr")
    assert token == own.find("test", "captioning", "CIDEr")
    assert DECODED not in found.of("jepa")[0].budgets[2].rows  # a decoder is trained for a finished run


def test_a_decoder_says_the_captions_of_every_test_set(made_up: MakeUp) -> None:
    made = made_up(seeds=(1,), diverged=())
    folder = made.write()
    for place in ("jepa/seed-1/decoder", "token/seed-1/budgets/001000"):
        results = Results.load(folder / place / "results.json")
        results.sets["novel"] = [replace(row, value=row.value / 2) for row in results.sets["test"]]
        results.save(folder / place / "results.json")
    found = gather(made.comparison(metrics=()), folder)
    name = "captions, CIDEr, novel (decoder)"
    assert Metric(name, "novel", "captioning", "CIDEr") in found.metrics
    for arm in ("jepa", "token"):
        rows = found.of(arm)[0].budgets[-1].rows
        assert rows[name].value == pytest.approx(rows[DECODED].value / 2)


def test_a_metric_that_no_run_has_is_named_with_what_is_near(made_up: MakeUp) -> None:
    made = made_up(seeds=(1,), diverged=())
    folder = made.write()
    found = gather(made.comparison(metrics=(Metric("VQA", "test", "vqa", "acuracy"),)), folder)
    assert "VQA: no run has 'test vqa acuracy'; did you mean 'test vqa accuracy'?" in found.problems


def test_a_broken_file_is_named_and_leaves_the_rest(made_up: MakeUp) -> None:
    made = made_up(seeds=(1, 2), diverged=())
    folder = made.write()
    (folder / "token/seed-1/budgets/000100/results.json").write_text("{")
    (folder / "token/seed-2/run.json").write_text("[]")
    found = gather(made.comparison(), folder)
    first, second = found.of("token")
    assert "000100/results.json: not a results file" in first.message
    assert first.budgets[2] is None
    assert first.budgets[3] is not None
    assert second.state == "missing"
    assert "not a run's record" in second.message


def test_mixed_hardware_is_seen(made_up: MakeUp) -> None:
    made = made_up(seeds=(1, 2), diverged=())
    folder = made.write()
    assert len(gather(made.comparison(), folder).machines) == 1
    path = folder / "jepa/seed-1/run.json"
    record = RunRecord.model_validate_json(path.read_text())
    record.machine = {"gpus": ["NVIDIA H200"], "cores": 16}
    path.write_text(record.model_dump_json())
    assert gather(made.comparison(), folder).machines == ["NVIDIA H200", "AMD EPYC 7763, 2 cores"]


@pytest.mark.parametrize("broken", ["", "3"])
def test_examples_that_cannot_be_read_are_none(made_up: MakeUp, broken: str) -> None:
    from jepa_vl.compare.statistics.gather import examples_of

    made = made_up(seeds=(1,), diverged=())
    folder = made.write()
    run = gather(made.comparison(), folder).runs[0]
    assert set(examples_of(run, 1000)["test"]) == {"captioning", "vqa"}
    (folder / "jepa/seed-1/budgets/001000/examples.json").write_text(broken)
    assert examples_of(run, 1000) == {}
