from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jepa_vl.compare.costs import arm_costs
from jepa_vl.compare.costs.rows import CostRow, InferenceCosts
from jepa_vl.compare.records import RunRecord
from jepa_vl.compare.runs.job import Job
from jepa_vl.compare.runs.run_state import write_record
from jepa_vl.errors import UserError


def row(part: Any) -> CostRow:
    return CostRow(part=part, batch=1, milliseconds=1.0, flops=2.0, runs=3)


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs are in a folder of their own, and nothing is built; the objectives measured."""
    done: list[str] = []
    monkeypatch.chdir(tmp_path)

    def rows(values: dict[str, Any], folder: Path, **sizes: Any) -> list[CostRow]:
        done.append(values["objective"])
        return [row("vision encoder"), row("decoding")]

    monkeypatch.setattr(arm_costs, "_rows", rows)
    return done


def job(arm: str, seed: int, state: Any = "finished", decoder: dict[str, Any] | None = None) -> Job:
    name = f"compare/c/{arm}/seed-{seed}"
    made = Job(
        name=name, arm=arm, seed=seed, values={"objective": f"{arm} {seed}"}, budgets=(1.0,), decoder=decoder
    )
    write_record(made.folder, RunRecord(arm=arm, seed=seed, key=made.key, state=state))
    return made


def measure(*jobs: Job) -> dict[str, Any]:
    return InferenceCosts.load(arm_costs.measure_arms("c", jobs, say=lambda line: None)).root


def test_of_each_arm_the_first_finished_run_is_measured(measured):
    found = measure(job("a", 1, "diverged"), job("b", 1), job("a", 2), job("b", 2), job("c", 1, "training"))
    assert measured == ["b 1", "a 2"]
    assert set(found) == {"a", "b"}


def test_an_arm_is_measured_once_and_again_when_its_run_is_another(measured):
    jobs = [job("a", 1), job("b", 1)]
    first = measure(*jobs)
    assert measure(*jobs) == first
    assert measured == ["a 1", "b 1"]
    jobs[1].values["objective"] = "b changed"
    measure(*jobs)
    assert measured == ["a 1", "b 1", "b changed"]


def test_what_is_done_is_kept_when_a_later_arm_fails(measured, monkeypatch):
    kept = arm_costs._rows

    def failing(values: dict[str, Any], folder: Path, **sizes: Any) -> list[CostRow]:
        if values["objective"].startswith("b"):
            raise KeyboardInterrupt
        return kept(values, folder, **sizes)

    monkeypatch.setattr(arm_costs, "_rows", failing)
    with pytest.raises(KeyboardInterrupt):
        measure(job("a", 1), job("b", 1))
    monkeypatch.setattr(arm_costs, "_rows", kept)
    measure(job("a", 1), job("b", 1))
    assert measured == ["a 1", "b 1"]


def test_a_decoder_trained_on_the_run_has_a_row_of_its_own(measured, monkeypatch):
    monkeypatch.setattr(arm_costs, "decoder_finished", lambda job: True)
    monkeypatch.setattr(
        arm_costs, "with_decoder", lambda values, folder: {"objective": f"with {folder.name}"}
    )
    found = measure(job("a", 1, decoder={"objective": "x"}))
    assert measured == ["a 1", "with decoder"]
    assert [r.part for r in found["a"].rows] == ["vision encoder", "decoding", "decoder"]


def test_a_run_whose_checkpoint_is_gone_is_told_and_the_next_one_is_measured(measured, monkeypatch) -> None:
    rows = arm_costs._rows

    def some(values: dict[str, Any], folder: Path, **sizes: Any) -> list[CostRow]:
        if folder.name == "seed-1":
            raise UserError("no checkpoint in seed-1")
        return rows(values, folder, **sizes)

    monkeypatch.setattr(arm_costs, "_rows", some)
    said: list[str] = []
    path = arm_costs.measure_arms("c", [job("a", 1), job("a", 2), job("b", 1)], say=said.append)
    assert measured == ["a 2"]
    assert set(InferenceCosts.load(path).root) == {"a"}
    assert "compare/c/b/seed-1 cannot be measured: no checkpoint in seed-1" in said
