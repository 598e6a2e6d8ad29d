"""Runs of a comparison, each done here instead of in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from jepa_vl.__main__ import main
from jepa_vl.callbacks.finite_loss import DivergedError, FiniteLoss
from jepa_vl.compare.costs import stopwatch
from jepa_vl.compare.load import load_comparison
from jepa_vl.compare.plan import Comparison
from jepa_vl.compare.records import RunRecord
from jepa_vl.compare.runs import runner, train, tuning
from jepa_vl.compare.runs.job import Job, _data_hash
from jepa_vl.compare.runs.lock import lock_file, locked
from jepa_vl.compare.runs.milestones import Milestones
from jepa_vl.compare.runs.run_state import read_record
from jepa_vl.compare.runs.worker import main as work

pytestmark = pytest.mark.slow
Compare = Callable[..., Comparison]
SHORT = ("compare.tune=null", "compare.budgets=[0.5, 1]", "trainer.max_steps=4")
RUNS = Path("runs/compare/squares")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the jobs that were started."""
    names: list[str] = []

    def here(job: Job, say: Callable[[str], None]) -> int:
        names.append(job.name)
        return work(job.save())

    monkeypatch.setattr(runner, "run_child", here)
    monkeypatch.setattr(tuning, "run_child", here)
    return names


def record(arm: str, seed: int, name: str = "squares") -> RunRecord:
    found = read_record(Path(f"runs/compare/{name}/{arm}/seed-{seed}"))
    assert found is not None
    return found


def results(folder: Path) -> dict[str, Any]:
    sets: dict[str, Any] = json.loads((folder / "results.json").read_text())["sets"]
    return sets


def test_every_arm_is_run_with_every_seed_and_evaluated_at_every_budget(compare, started) -> None:
    done = runner.run(compare(*SHORT))
    assert [(each.arm, each.seed, each.state) for each in done] == [
        ("jepa", 1, "finished"), ("token", 1, "finished"),
        ("jepa", 2, "finished"), ("token", 2, "finished"),
    ]  # fmt: skip
    assert (record("jepa", 1).steps, record("jepa", 1).samples) == (4, 16)
    for step in ("000002", "000004"):
        tasks = {row["task"] for row in results(RUNS / f"token/seed-2/budgets/{step}")["test"]}
        assert {"retrieval", "vqa"} == tasks
    assert record("token", 1).flops_per_sample > 0
    assert record("token", 1).parameters["language_model"]["trained"] > 0


def test_finished_runs_are_reused_and_others_are_done(compare, started) -> None:
    said: list[str] = []
    runner.run(compare(*SHORT), ["jepa"], [1])
    runner.run(compare(*SHORT), say=said.append)
    assert started.count("compare/squares/jepa/seed-1") == 1
    assert len(started) == 4
    assert said[0] == "1 of 4 runs are finished and are reused"


def test_another_recipe_makes_a_run_again_and_the_old_one_is_kept(compare, started) -> None:
    runner.run(compare(*SHORT), ["jepa"], [1])
    old = record("jepa", 1).key
    runner.run(compare(*SHORT, "objective.optimizer.lr=2e-3"), ["jepa"], [1])
    assert record("jepa", 1).key != old
    kept = read_record(RUNS / "jepa/seed-1.1")
    assert kept is not None
    assert kept.key == old


def test_changed_data_make_a_run_again(compare, started, squares: Path) -> None:
    runner.run(compare(*SHORT), ["jepa"], [1])
    manifest = squares / "data" / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace("a red square", "a very red square"))
    _data_hash.cache_clear()  # as in a new process
    assert not runner.finished(runner.plan(compare(*SHORT), ["jepa"], [1])[0])


def diverge_at_three(callback: FiniteLoss, trainer: Any, *_: Any) -> None:
    if trainer.global_step == 3:
        raise DivergedError(float("nan"), 3, ["a", "b"], Path("nonfinite.jsonl"))


def test_a_run_that_diverged_is_shown_as_such_with_the_budgets_it_came_to(
    compare, started, monkeypatch
) -> None:
    monkeypatch.setattr(FiniteLoss, "on_train_batch_end", diverge_at_three)
    done = runner.run(compare(*SHORT), ["jepa"], [1])
    assert done[0].state == "diverged"
    assert done[0].message.startswith("the loss is nan after 3 steps; its batch has the samples a, b, ")
    assert [path.name for path in (RUNS / "jepa/seed-1/budgets").iterdir()] == ["000002"]
    started.clear()
    runner.run(compare(*SHORT), ["jepa"], [1])
    assert started == []  # it would do so again


def test_weights_of_a_diverged_run_that_give_no_numbers_are_left_out(compare, started, caplog) -> None:
    broken = (
        "objective.optimizer.lr=1e30",
        "objective.optimizer.warmup_steps=0",
        "compare.budgets=[0.25, 1]",
    )
    done = runner.run(compare(*SHORT, *broken), ["jepa"], [1])
    assert done[0].state == "diverged"
    assert "step 1 of a run that diverged gives no numbers and is left out" in caplog.text
    assert list((RUNS / "jepa/seed-1").glob("budgets/*")) == []
    started.clear()
    runner.run(compare(*SHORT, *broken), ["jepa"], [1])
    assert started == []


def test_a_run_that_fails_is_said_and_the_others_go_on(compare, started, monkeypatch) -> None:
    def fails(job: Job, say: Callable[[str], None]) -> int:
        with monkeypatch.context() as patch:
            if job.arm == "jepa":
                patch.setattr("jepa_vl.compare.runs.worker.run_job", _broken)
            return work(job.save())

    monkeypatch.setattr(runner, "run_child", fails)
    done = runner.run(compare(*SHORT), seeds=[1])
    assert [(each.arm, each.state) for each in done] == [("jepa", "failed"), ("token", "finished")]
    assert "the disk is full" in done[0].message


def _broken(job: Job) -> RunRecord:
    raise OSError("the disk is full")


def test_a_process_that_was_killed_leaves_a_failed_run_that_can_be_done_again(compare, monkeypatch) -> None:
    monkeypatch.setattr(runner, "run_child", lambda job, say: -9)
    done = runner.run(compare(*SHORT), ["jepa"], [1])
    assert (done[0].state, "memory" in done[0].message) == ("failed", True)
    monkeypatch.setattr(runner, "run_child", lambda job, say: work(job.save()))
    assert runner.run(compare(*SHORT), ["jepa"], [1])[0].state == "finished"
    assert record("jepa", 1).message == ""


def test_a_run_that_another_process_is_at_is_left_to_it(compare, started) -> None:
    with locked(lock_file(RUNS / "jepa/seed-1")):
        done = runner.run(compare(*SHORT), seeds=[1])
    assert [each.state for each in done] == ["elsewhere", "finished"]
    assert started == ["compare/squares/token/seed-1"]


def test_a_stopped_run_goes_on_and_ends_as_one_that_was_not_stopped(compare, started, monkeypatch) -> None:
    monkeypatch.setattr(runner, "reuse", lambda job: None)
    runner.run(compare(*SHORT, "name=whole"), ["jepa"], [1])

    class Stopped(Milestones):
        def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
            super().on_train_batch_end(trainer, *args)
            if trainer.global_step == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(train, "Milestones", Stopped)
    runner.run(compare(*SHORT, "name=part"), ["jepa"], [1])
    assert record("jepa", 1, "part").state == "training"
    monkeypatch.setattr(train, "Milestones", Milestones)
    runner.run(compare(*SHORT, "name=part"), ["jepa"], [1])
    assert record("jepa", 1, "part").state == "finished"
    weights = [
        torch.load(f"runs/compare/{name}/jepa/seed-1/checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("whole", "part")
    ]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    of_both = [results(Path(f"runs/compare/{name}/jepa/seed-1/budgets/000004")) for name in ("whole", "part")]
    assert of_both[0] == of_both[1]


def test_the_same_run_of_another_comparison_is_taken_over(compare, started, squares: Path) -> None:
    said: list[str] = []
    runner.run(compare(*SHORT), ["token"], [1])
    started.clear()
    done = runner.run(compare(*SHORT, "name=other"), ["token"], [1], say=said.append)
    assert started == []
    assert done[0].state == "finished"
    assert any(
        "the same as runs/compare/squares/token/seed-1, which is finished: reused" in line for line in said
    )
    other = Path("runs/compare/other/token/seed-1")
    assert results(other / "budgets/000004") == results(RUNS / "token/seed-1/budgets/000004")
    assert Job.load(other / "job.json").name == "compare/other/token/seed-1"
    assert Job.load(RUNS / "token/seed-1/job.json").name == "compare/squares/token/seed-1"


def test_a_run_of_another_recipe_or_seed_is_not_taken_over(compare, started) -> None:
    runner.run(compare(*SHORT), ["token"], [1])
    runner.run(compare(*SHORT, "name=other", "objective.optimizer.lr=2e-3"), ["token"], [1])
    runner.run(compare(*SHORT, "name=other"), ["token"], [2])
    assert len(started) == 3


def test_each_arm_gets_the_value_with_the_best_score_and_trials_are_not_made_twice(compare, started) -> None:
    tuned = ("compare.budgets=[1]", "trainer.max_steps=4", "compare.tune.values=[1.0e-3, 1.0e-2, 1.0e-1]")
    comparison = compare(*tuned)
    tuning.tune(comparison, ["jepa"], command="", say=lambda text: None)
    written = json.loads((RUNS / "tuning.json").read_text())
    scores = {trial["value"]: trial["score"] for trial in written["trials"]}
    best = max(scores.values())
    assert written["chosen"] == {"jepa": min(value for value, score in scores.items() if score == best)}
    chosen = tuning.as_tuned(comparison).arm("jepa").values["objective"]["init_args"]["optimizer"]["lr"]
    assert chosen == written["chosen"]["jepa"]
    assert len(started) == 3
    tuning.tune(comparison, ["jepa"], command="", say=lambda text: None)
    tuning.tune(compare(*tuned, "name=other"), ["jepa"], command="", say=lambda text: None)
    assert len(started) == 3
    assert json.loads(Path("runs/compare/other/tuning.json").read_text())["chosen"] == written["chosen"]


def test_the_key_of_a_run_is_that_of_what_it_depends_on(compare, squares: Path) -> None:
    def key(*overrides: str, arm: str = "jepa", seed: int = 1) -> str:
        return runner.plan(compare(*SHORT, *overrides), [arm], [seed])[0].key

    same = key()
    assert key("name=other") == same
    assert key("compare.seeds=[1]") == same
    assert key("objective.optimizer.lr=0.001") == key("objective.optimizer.lr=1e-3")
    others = [
        key(seed=2), key(arm="token"), key("objective.optimizer.lr=3e-3"), key("compare.budgets=[1]"),
        key("data.batch_size=2"), key("compare.arms.jepa.objective.predictor.layers=2"),
    ]  # fmt: skip
    assert len({same, *others}) == 7


def test_a_comparison_is_read_from_its_file_by_the_command(
    squares: Path, started, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopwatch, "REPEATS", 1)
    words = [word for pair in SHORT for word in (f"--{pair.partition('=')[0]}", pair.partition("=")[2])]
    assert main(["compare", "--config", "squares.yaml", *words, "--compare.seeds", "[1]"]) == 0
    out = capsys.readouterr().out
    assert "2 of 2 runs finished" in out
    assert json.loads((RUNS / "cost.json").read_text()).keys() == {"jepa", "token"}
    assert "Milliseconds and operations of a sample" in (RUNS / "report.md").read_text()
    assert load_comparison("squares.yaml").name == "squares"


def test_an_arm_that_starts_from_a_run_that_is_not_there_keeps_only_itself_from_running(
    squares: Path, started, capsys
) -> None:
    """Another job may be at that run, on a cluster; the other arms need not wait for it."""
    words = ["compare", "--config", "squares.yaml", "--compare.varies", "[objective.optimizer.lr,init_from]"]
    words += [word for pair in SHORT for word in (f"--{pair.partition('=')[0]}", pair.partition("=")[2])]
    words += ["--compare.arms.token.init_from", "runs/before", "--compare.seeds", "[1]"]
    assert main([*words, "--arm", "jepa"]) == 0
    out = capsys.readouterr().out
    assert "1 of 1 runs finished" in out
    assert "token: not looked at and not run: checkpoint runs/before does not exist" in " ".join(out.split())
    assert main([*words, "--report"]) == 0
    assert "token: not looked at" in (RUNS / "report.md").read_text()
    capsys.readouterr()
    for more in ([], ["--arm", "token"]):
        assert main([*words, *more]) == 1
        said = capsys.readouterr().err
        assert "arm 'token' starts from another run: checkpoint runs/before does not exist" in said
    assert len(started) == 1


def test_a_run_whose_start_is_gone_has_another_key(compare, squares: Path) -> None:
    torch.save({}, "start.ckpt")
    changed = ("compare.varies=[objective.optimizer.lr,init_from]", "compare.arms.jepa.init_from=start.ckpt")
    (job,) = runner.plan(compare(*SHORT, *changed), ["jepa"], [1])
    key = job.key
    Path("start.ckpt").unlink()
    assert job.key != key
