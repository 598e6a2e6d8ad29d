"""A loss that is no number: before the weights are."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from lightning import Callback

from jepa_vl.callbacks.finite_loss import FILE, DivergedError, FiniteLoss

WHEN = 3  # steps that were taken before


def broken(objective: Any, value: float, batches: list[Any]) -> Any:
    """Have the loss of one step be no number, in its gradient too."""
    step = objective.training_step

    def training_step(batch: Any, batch_idx: int) -> Any:
        batches.append([sample.id for sample in batch.samples])
        loss = step(batch, batch_idx)
        return loss * value if objective.trainer.global_step == WHEN else loss

    objective.training_step = training_step
    return objective


def run(
    fake: ModuleType, folder: Path, value: float, *own: Callback, **options: Any
) -> tuple[Any, list[Any], Any]:
    torch.manual_seed(0)
    data, batches = fake.FakeData(), []
    objective = broken(fake.FakeObjective(), value, batches)
    trainer = fake.trainer_for(folder, data, max_steps=6, default_root_dir=folder, **options)
    if own:
        trainer.callbacks[:] = [*own, *(c for c in trainer.callbacks if not isinstance(c, FiniteLoss))]
    trainer.fit(objective, data)
    return objective, batches, trainer


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_the_run_ends_with_finite_weights_and_the_samples_by_name(
    fake: ModuleType, tmp_path: Path, value: float
) -> None:
    with pytest.raises(
        DivergedError, match=rf"the loss is (nan|inf) after {WHEN} steps; its batch has"
    ) as error:
        run(fake, tmp_path, value)
    line = json.loads((tmp_path / FILE).read_text())
    assert line["step"] == error.value.step == WHEN
    assert len(line["ids"]) == 8
    assert line["ids"][0] in str(error.value)
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == WHEN
    assert all(weight.isfinite().all() for weight in saved["state_dict"].values())


def test_a_step_that_is_skipped_changes_no_weight_and_no_state(fake: ModuleType, tmp_path: Path) -> None:
    class Keep(Callback):
        def __init__(self) -> None:
            self.states: list[Any] = []

        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            optimizer = trainer.optimizers[0].state_dict()["state"]
            moments = [v.clone() for state in optimizer.values() for v in state.values()]
            self.states.append([*(p.detach().clone() for p in pl_module.parameters()), *moments])

    keep = Keep()
    _, batches, trainer = run(fake, tmp_path, float("nan"), FiniteLoss(action="skip"), keep)
    assert trainer.global_step == 6
    before, skipped, after = keep.states[WHEN - 1 : WHEN + 2]
    torch.testing.assert_close(skipped, before, atol=0, rtol=0)
    assert not torch.equal(after[0], skipped[0])
    assert json.loads((tmp_path / FILE).read_text())["ids"] == batches[WHEN]


def test_a_finite_loss_leaves_no_trace(fake: ModuleType, tmp_path: Path) -> None:
    run(fake, tmp_path, 1.0)
    assert not (tmp_path / FILE).exists()
