"""Evaluation in a real Trainer: what is logged, kept, written and printed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from jepa_vl.callbacks.evaluation import EvaluationCallback
from jepa_vl.objectives.base import EMBED, GENERATE, SCORE
from jepa_vl.results import Results

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture
def fitted(fake: ModuleType, tmp_path: Path) -> Any:
    """A trainer after fit, in ``tmp_path/run``."""
    data = fake.FakeData()
    trainer = fake.trainer_for(tmp_path / "run", data)
    trainer.fit(fake.FakeObjective(), data)
    return trainer


def events(run_dir: Path) -> EventAccumulator:
    found = EventAccumulator(str(run_dir), size_guidance={"images": 0, "tensors": 0})
    found.Reload()
    return found


def test_fit_logs_every_row_and_their_mean_headline(fitted: Any, tmp_path: Path) -> None:
    scalars = events(tmp_path / "run").Tags()["scalars"]
    assert {
        "val/retrieval/text-to-video_R@1",
        "val/retrieval/gallery_4/video-to-text_median_rank",
        "val/classification/verb/accuracy",
        "val/vqa/presence/random/accuracy",
        "val/score",
        "train/samples_per_second",
        "train/data_wait",
        "lr-AdamW",
    } <= set(scalars)
    numbers = fitted.callback_metrics
    headlines = ("retrieval/text-to-video_R@1", "classification/top-1", "vqa/accuracy")
    mean = sum(numbers[f"val/{name}"] for name in headlines) / 3
    assert numbers["val/score"] == pytest.approx(float(mean))


def test_the_sanity_check_logs_nothing(fitted: Any, tmp_path: Path) -> None:
    steps = [event.step for event in events(tmp_path / "run").Scalars("val/score")]
    assert steps == [4, 8, 12]


def test_the_best_checkpoint_is_the_one_of_the_best_score(fitted: Any, tmp_path: Path) -> None:
    scores = {e.step: e.value for e in events(tmp_path / "run").Scalars("val/score")}
    best = torch.load(tmp_path / "run/checkpoints/best.ckpt", weights_only=True)
    assert scores[best["global_step"]] == max(scores.values())
    assert sorted(p.name for p in (tmp_path / "run/checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


def test_test_writes_results_of_the_checkpoint_it_was_given(
    fake: ModuleType, fitted: Any, tmp_path: Path
) -> None:
    data = fake.FakeData()
    trainer = fake.trainer_for(tmp_path / "run", data)
    (tmp_path / "run/config.yaml").write_text("name: run\n")
    trainer.test(fake.FakeObjective(), data, ckpt_path=str(tmp_path / "run/checkpoints/last.ckpt"))
    results = Results.load(tmp_path / "run/results.json")
    assert results.run.samples_seen == 12 * 8
    assert results.run.steps == 12
    assert results.run.train_seconds > 0
    assert (results.run.trainable_parameters, results.run.frozen_parameters) == (72, 6)
    assert results.run.recipe == {"name": "run"}
    assert results.run.objective == "FakeObjective"
    assert results.run.tasks["retrieval"] == {"score_gallery": 4}
    logged = events(tmp_path / "run").Scalars("test/classification/top-1")
    assert [e.step for e in logged] == [12]
    assert logged[0].value == pytest.approx(results.find("test", "classification", "top-1").value)


def test_single_frame_sets_become_a_baseline(fake: ModuleType, tmp_path: Path) -> None:
    data = fake.FakeData()
    objective = fake.FakeObjective()
    with torch.no_grad():  # says what it sees
        objective.map.weight.copy_(torch.eye(fake.WIDTH))
        objective.map.bias.zero_()
    task = [fake.ClassificationTask(attributes={"verb": "^(open|drop)"})]
    fake.trainer_for(tmp_path / "run", data, measured=task).test(objective, data)
    results = Results.load(tmp_path / "run/results.json")
    assert list(results.sets) == ["test", "novel"]
    verb = results.find("test", "classification", "accuracy", group="verb")
    assert verb.value == 1
    assert verb.baselines["single frame"] < 1
    assert "single frame" not in results.find("novel", "classification", "top-1").baselines


@pytest.mark.parametrize("columns", ["80", "100", None])
def test_every_set_gets_a_table_with_intervals_and_baselines(
    fake: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    columns: str | None,
) -> None:
    if columns is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", columns)
    data = fake.FakeData()
    fake.trainer_for(tmp_path / "run", data).test(fake.FakeObjective(), data)
    printed = capsys.readouterr().out
    for text in ("text-to-video R@1", "95 % interval", "chance", "no video", "single", "frame"):
        assert text in printed
    assert "…" not in printed
    assert "Test metric" not in printed  # Lightning's own table


def test_examples_and_the_projector_are_in_tensorboard(fake: ModuleType, tmp_path: Path) -> None:
    data = fake.FakeData()
    fake.trainer_for(tmp_path / "run", data).test(fake.FakeObjective(), data)
    tags = events(tmp_path / "run").Tags()
    assert {"test/vqa/frames", "test/retrieval/frames", "test/novel/vqa/frames"} <= set(tags["images"])
    assert "test/vqa/examples/text_summary" in tags["tensors"]
    metadata = next((tmp_path / "run").rglob("metadata.tsv")).read_text().splitlines()
    assert metadata[0].split("\t") == ["caption", "label", "side"]
    assert len([line for line in metadata if line.endswith("video")]) == 13
    assert len([line for line in metadata if line.endswith("text")]) == len(fake.LABELS)


def test_both_kinds_of_objective_share_a_gallery(fake: ModuleType, tmp_path: Path) -> None:
    rows = {}
    for ability in (EMBED, SCORE):
        torch.manual_seed(0)
        data = fake.FakeData()
        run_dir = tmp_path / ability
        fake.trainer_for(run_dir, data).test(fake.FakeObjective(frozenset({ability})), data)
        rows[ability] = Results.load(run_dir / "results.json").sets["test"]
    for row in rows[SCORE]:
        assert row in rows[EMBED]


def test_a_task_that_cannot_be_asked_is_left_out_with_a_warning(
    fake: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = fake.FakeData()
    trainer = fake.trainer_for(tmp_path / "run", data)
    trainer.fit(fake.FakeObjective(frozenset({GENERATE})), data)
    warnings = [r.getMessage() for r in caplog.records if "left out" in r.getMessage()]
    assert sorted(w.split()[1] for w in warnings) == ["classification", "retrieval", "vqa"]
    assert "needs an objective that can embed or score" in warnings[0]
    assert trainer.callback_metrics["val/score"] == 0


def test_data_without_a_training_split_have_no_trained_baseline(fake: ModuleType, tmp_path: Path) -> None:
    data = fake.FakeData()
    del data.splits["train"]
    fake.trainer_for(tmp_path / "run", data).test(fake.FakeObjective(), data)
    found = Results.load(tmp_path / "run/results.json").find("novel", "vqa", "accuracy")
    assert found.baselines == {}


def test_validate_prints_the_table_and_leaves_results_alone(
    fake: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = fake.FakeData()
    fake.trainer_for(tmp_path / "run", data).validate(fake.FakeObjective(), data)
    printed = capsys.readouterr().out
    assert "text-to-video R@1" in printed
    assert "Validate metric" not in printed
    assert not (tmp_path / "run/results.json").exists()


def test_the_model_is_measured_as_it_is_at_that_step(fake: ModuleType, tmp_path: Path) -> None:
    """Class embeddings of an earlier validation would give other numbers."""
    data = fake.FakeData()
    objective = fake.FakeObjective()
    trainer = fake.trainer_for(tmp_path / "run", data)
    trainer.fit(objective, data)
    during = next(c for c in trainer.callbacks if isinstance(c, EvaluationCallback)).results
    again = fake.trainer_for(tmp_path / "again", data)
    again.validate(objective, data)
    after = next(c for c in again.callbacks if isinstance(c, EvaluationCallback)).results
    assert during == after


@pytest.mark.slow
def test_two_processes_measure_what_one_does(tmp_path: Path) -> None:
    """13 + 5 clips do not divide by 2: the sampler repeats some, and one rank may see none of a kind."""
    root = Path(__file__).parents[2]
    rows = {}
    for devices in (1, 2):
        run_dir = tmp_path / f"on{devices}"
        subprocess.run(
            [
                sys.executable,
                str(Path(__file__).with_name("fake_run.py")),
                str(run_dir),
                str(devices),
                "test",
            ],
            check=True,
            env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            timeout=200,
        )
        rows[devices] = Results.load(run_dir / "results.json")
    assert rows[1].sets == rows[2].sets
    assert rows[2].run.machine["processes"] == 2
