"""Speed and data wait."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from jepa_vl.callbacks.throughput import Throughput

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.mark.parametrize(("wait", "low", "high"), [(0.05, 0.6, 1.0), (0.0, 0.0, 0.6)])
def test_the_share_of_waiting_tells_a_slow_loader(
    fake: ModuleType, tmp_path: Path, wait: float, low: float, high: float
) -> None:
    data = fake.FakeData(wait=wait)
    trainer = fake.trainer_for(tmp_path / "run", data, max_steps=6, val_check_interval=6)
    trainer.fit(fake.FakeObjective(), data)
    assert low <= float(trainer.callback_metrics["train/data_wait"]) <= high
    if wait:
        assert float(trainer.callback_metrics["train/samples_per_second"]) < 8 / wait


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
