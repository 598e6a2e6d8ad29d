"""A run that is stopped goes on as if it had not been."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import Callback

from jepa_vl.callbacks.last_checkpoint import LastCheckpoint
from jepa_vl.callbacks.throughput import Throughput
from jepa_vl.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(autouse=True)
def _keeps_ctrl_c() -> Iterator[None]:
    # a shell ignores it in what it runs in the background
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)  # Lightning leaves it ignored after an interrupt


class CtrlC(Callback):
    """Presses Ctrl-C when `hook` is called at a step."""

    def __init__(self, hook: str, step: int, times: int = 1) -> None:
        self.pressed = 0

        def press(trainer: Any, *_: Any, **__: Any) -> None:
            if trainer.global_step == step and self.pressed < times and not trainer.sanity_checking:
                self.pressed += 1
                os.kill(os.getpid(), signal.SIGINT)

        setattr(self, hook, press)


def last(run_dir: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(run_dir / "checkpoints/last.ckpt", weights_only=True)
    return found


@pytest.fixture
def fit(fake: ModuleType, tmp_path: Path) -> Callable[..., Any]:
    """Train for 12 steps in a folder of ``tmp_path``, from the seed or from its ``last.ckpt``."""

    def run(
        name: str, *extra: Callback, resume: bool = False, fail_at: int | None = None, **options: Any
    ) -> Any:
        torch.manual_seed(0)
        data, objective = fake.FakeData(), fake.FakeObjective()
        objective.fail_at = fail_at
        trainer = fake.trainer_for(tmp_path / name, data, *extra, **options)
        path = str(tmp_path / name / "checkpoints/last.ckpt") if resume else None
        trainer.fit(objective, data, ckpt_path=path, weights_only=True if resume else None)
        return trainer

    return run


def assert_equal_runs(one: Path, other: Path) -> None:
    a, b = last(one), last(other)
    assert a["global_step"] == b["global_step"]
    for name, value in a["state_dict"].items():
        assert torch.equal(value, b["state_dict"][name]), name
    for key in ("samples", "steps"):
        assert a["callbacks"]["Throughput"][key] == b["callbacks"]["Throughput"][key]


# an epoch has 6 steps and a validation comes every 4: 5 is inside of both
@pytest.mark.parametrize(
    ("hook", "step", "stops_at"),
    [
        ("on_train_batch_start", 4, 5),
        ("on_before_optimizer_step", 1, 2),
        ("on_train_batch_end", 5, 5),
        ("on_train_batch_end", 6, 6),  # the end of an epoch
        ("on_validation_batch_start", 8, 8),
        ("on_train_batch_start", 3, 4),  # a validation is due
    ],
)
def test_ctrl_c_then_resume_equals_an_uninterrupted_run_bit_for_bit(
    fit: Any, tmp_path: Path, hook: str, step: int, stops_at: int
) -> None:
    fit("whole")
    with pytest.raises(SystemExit):
        fit("stopped", CtrlC(hook, step))
    assert last(tmp_path / "stopped")["global_step"] == stops_at
    fit("stopped", resume=True)
    assert_equal_runs(tmp_path / "whole", tmp_path / "stopped")


ACCUMULATED = {"accumulate_grad_batches": 2, "val_check_interval": 3}


def test_ctrl_c_between_accumulated_passes_waits_for_their_step(fit: Any, tmp_path: Path) -> None:
    """The gradient of the passes before it would be lost."""
    fit("whole", **ACCUMULATED)
    with pytest.raises(SystemExit):
        fit("stopped", CtrlC("on_train_batch_end", 1), **ACCUMULATED)
    assert last(tmp_path / "stopped")["global_step"] == 1
    with pytest.raises(SystemExit):
        fit("stopped", CtrlC("on_train_batch_start", 1), resume=True, **ACCUMULATED)
    assert last(tmp_path / "stopped")["global_step"] == 2
    fit("stopped", resume=True, **ACCUMULATED)
    assert_equal_runs(tmp_path / "whole", tmp_path / "stopped")


def test_a_run_killed_after_a_validation_between_accumulated_passes_goes_on_exactly(
    fit: Any, tmp_path: Path
) -> None:
    class Killed(Callback):
        """Keeps what a kill in a batch would leave."""

        def __init__(self, batch: int) -> None:
            self.batch = batch

        def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
            if trainer.fit_loop.epoch_loop.batch_progress.total.ready == self.batch:
                shutil.copytree(tmp_path / "whole", tmp_path / f"killed{self.batch}")

    fit("whole", *(Killed(batch) for batch in (4, 5, 6, 7)), **ACCUMULATED)
    assert not (tmp_path / "killed4/checkpoints/last.ckpt").exists()
    for batch in (5, 6, 7):
        fit(f"killed{batch}", resume=True, **ACCUMULATED)
        assert_equal_runs(tmp_path / "whole", tmp_path / f"killed{batch}")


def test_a_resume_that_fails_before_it_trains_leaves_the_checkpoint_alone(fit: Any, tmp_path: Path) -> None:
    """What was loaded by then has no place in the data, and may lack the optimizer's states."""

    class Refuse(Callback):
        def on_fit_start(self, *_: Any) -> None:
            raise UserError("not like this")

    class RefuseLate(Callback):
        def on_train_start(self, *_: Any) -> None:
            raise UserError("not like this")

    fit("run", max_steps=5)
    before = (tmp_path / "run/checkpoints/last.ckpt").read_bytes()
    for refusing in (Refuse(), RefuseLate()):
        with pytest.raises(UserError, match="not like this"):
            fit("run", refusing, resume=True)
        assert (tmp_path / "run/checkpoints/last.ckpt").read_bytes() == before


def test_after_an_error_training_goes_on_from_the_step_it_was_at(fit: Any, tmp_path: Path) -> None:
    fit("whole")
    with pytest.raises(RuntimeError, match="out of luck"):
        fit("failed", fail_at=7)
    assert last(tmp_path / "failed")["global_step"] == 7


def test_an_error_in_the_first_step_leaves_no_checkpoint(fit: Any, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="out of luck"):
        fit("failed", fail_at=0)
    assert not (tmp_path / "failed/checkpoints/last.ckpt").exists()


def test_a_second_ctrl_c_stops_at_once(fit: Any, tmp_path: Path) -> None:
    seen: list[int] = []

    class Steps(Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            seen.append(trainer.global_step)

    with pytest.raises(SystemExit):
        fit("stopped", CtrlC("on_train_batch_start", 5, times=2), CtrlC("on_before_backward", 5), Steps())
    assert seen[-1] == 5  # the sixth step did not end
    assert last(tmp_path / "stopped")["global_step"] == 5


def test_a_signal_that_comes_while_the_processes_agree_is_not_forgotten(tmp_path: Path) -> None:
    """Most of a short step is waiting for the others."""
    callback = LastCheckpoint(tmp_path / "last.ckpt")

    def meanwhile(asked: bool, all: bool) -> bool:
        callback._interrupted(signal.SIGTERM, None)
        return asked

    trainer: Any = SimpleNamespace(
        world_size=2,
        strategy=SimpleNamespace(reduce_boolean_decision=meanwhile),
        fit_loop=SimpleNamespace(_should_accumulate=lambda: False),
    )
    nothing: Any = None
    callback.on_train_batch_end(trainer, nothing, nothing, nothing, 0)
    with pytest.raises(KeyboardInterrupt):
        callback.on_train_batch_end(trainer, nothing, nothing, nothing, 1)


def test_ctrl_c_is_given_back_after_the_fit(fit: Any) -> None:
    before = signal.getsignal(signal.SIGINT)
    fit("whole")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_full_disk_does_not_hide_the_first_error(
    fit: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from lightning import Trainer

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    class Fill(Callback):
        def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
            if trainer.global_step == 6:
                monkeypatch.setattr(Trainer, "save_checkpoint", full)

    with pytest.raises(RuntimeError, match="out of luck"):
        fit("full", Fill(), fail_at=7)
    assert any("No space left" in r.getMessage() for r in caplog.records)


def test_samples_and_time_are_counted_over_resumed_runs(fit: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        fit("stopped", CtrlC("on_train_batch_end", 5))
    before = last(tmp_path / "stopped")["callbacks"]["Throughput"]
    assert (before["samples"], before["steps"]) == (40, 5)
    trainer = fit("stopped", resume=True)
    counts = next(c for c in trainer.callbacks if isinstance(c, Throughput))
    assert (counts.samples, counts.steps) == (96, 12)
    assert counts.seconds > before["seconds"]


@pytest.mark.slow
def test_all_processes_stop_at_the_same_step_when_one_is_interrupted(tmp_path: Path) -> None:
    """Else saving, which waits for every process, would hang."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("fake_run.py")), str(tmp_path / "run"), "2", "stop"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 1, done.stderr
    saved = last(tmp_path / "run")
    assert saved["global_step"] == 6
    assert saved["callbacks"]["Throughput"]["samples"] == 6 * 8 * 2
    assert len(saved["callbacks"]["RandomState"]["processes"]) == 2
