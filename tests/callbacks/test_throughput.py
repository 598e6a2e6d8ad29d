"""Speed and data wait."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from jepa_vl.callbacks.throughput import Throughput

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.mark.parametrize(("wait", "work", "share", "speed"), [(3.0, 1.0, 0.75, 2.0), (0.0, 4.0, 0.0, 2.0)])
def test_the_share_of_waiting_tells_a_slow_loader(
    monkeypatch: pytest.MonkeyPatch, wait: float, work: float, share: float, speed: float
) -> None:
    clock = [0.0]
    monkeypatch.setattr("jepa_vl.callbacks.throughput.time.perf_counter", lambda: clock[0])
    logged: dict[str, float] = {}
    module: Any = SimpleNamespace(log=lambda name, value, **_: logged.update({name: value}))
    callback = Throughput()
    trainer: Any = SimpleNamespace(world_size=1, global_step=0, log_every_n_steps=4)
    callback.on_train_start(trainer, module)
    callback._last_end = 0.0  # steps before these have been counted
    for step in range(4):
        clock[0] += wait
        callback.on_train_batch_start(trainer, module, range(8), step)
        clock[0] += work
        trainer.global_step += 1
        callback.on_train_batch_end(trainer, module, None, range(8), step)
    assert logged == {"train/data_wait": share, "train/samples_per_second": speed}


def test_validation_is_not_counted(fake: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("jepa_vl.callbacks.throughput.time.perf_counter", lambda: clock[0])

    class Slow(fake.FakeObjective):  # type: ignore[misc, name-defined]
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            clock[0] += 1
            return super().training_step(batch, batch_idx)

        def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
            clock[0] += 1000

    data = fake.FakeData()
    trainer = fake.trainer_for(tmp_path / "run", data)
    trainer.fit(Slow(), data)
    assert next(c for c in trainer.callbacks if isinstance(c, Throughput)).seconds == 12
