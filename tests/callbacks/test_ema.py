"""The moving average against one that is computed from the weights after every step."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from lightning import Callback
from torch import Tensor

from jepa_vl.callbacks.ema import EMA, TRAINED
from jepa_vl.errors import RecipeError

DECAY = 0.7
Weights = dict[str, Tensor]


class Watch(Callback):
    """Keeps the weights at the beginning, after every step, and as the tasks of a validation see them."""

    def __init__(self) -> None:
        self.steps: list[Weights] = []
        self.validated: list[Weights] = []

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.steps.append(weights(pl_module))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.steps.append(weights(pl_module))

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        self.validated.append(weights(pl_module))

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.validated.append(weights(pl_module))


def weights(module: torch.nn.Module) -> Weights:
    return {name: p.detach().clone() for name, p in module.named_parameters() if p.requires_grad}


def averaged(steps: list[Weights], decay: float = DECAY, start: int = 0) -> Weights:
    mean = steps[0]
    for number, step in enumerate(steps[1:], 1):
        kept = 0.0 if number <= start else decay
        mean = {name: kept * mean[name] + (1 - kept) * step[name] for name in step}
    return mean


def train(fake: ModuleType, run: Path, *extra: Callback, steps: int, ckpt: Path | None = None) -> Any:
    torch.manual_seed(0)
    data, objective = fake.FakeData(), fake.FakeObjective()
    # before ours, as the callbacks of a recipe are
    trainer = fake.trainer_for(run, data, max_steps=steps)
    trainer.callbacks[:0] = extra
    trainer.fit(objective, data, ckpt_path=ckpt)
    return objective


def last(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return found


@pytest.mark.parametrize("start", [0, 3])
def test_it_is_the_average_that_is_saved_validated_and_left(
    fake: ModuleType, tmp_path: Path, start: int
) -> None:
    watch = Watch()
    objective = train(fake, tmp_path / "run", EMA(decay=DECAY, start=start), watch, steps=8)
    want = averaged(watch.steps, start=start)
    saved = last(tmp_path / "run")
    torch.testing.assert_close({name: saved["state_dict"][name] for name in want}, want)
    torch.testing.assert_close(saved[TRAINED], watch.steps[-1], atol=0, rtol=0)
    torch.testing.assert_close(weights(objective), want)
    seen = averaged(watch.steps[:5], start=start)  # the validation after four steps
    torch.testing.assert_close(watch.validated[-4:-2], [seen, seen])
    assert not torch.equal(next(iter(want.values())), next(iter(watch.steps[-1].values())))


def test_validation_changes_nothing_of_what_is_trained(fake: ModuleType, tmp_path: Path) -> None:
    plain, with_it = Watch(), Watch()
    train(fake, tmp_path / "plain", plain, steps=8)
    train(fake, tmp_path / "ema", EMA(decay=DECAY), with_it, steps=8)
    torch.testing.assert_close(plain.steps, with_it.steps, atol=0, rtol=0)


def test_a_resumed_run_equals_an_uninterrupted_one_also_after_its_end(
    fake: ModuleType, tmp_path: Path
) -> None:
    """A run that came to its end leaves its weights in the checkpoint, not the average in their place."""
    train(fake, tmp_path / "whole", EMA(decay=DECAY), steps=9)
    train(fake, tmp_path / "parts", EMA(decay=DECAY), steps=5)
    middle = tmp_path / "parts" / "checkpoints" / "last.ckpt"
    train(fake, tmp_path / "parts", EMA(decay=DECAY), steps=9, ckpt=middle)
    one, other = last(tmp_path / "whole"), last(tmp_path / "parts")
    for key in ("state_dict", TRAINED):
        torch.testing.assert_close(one[key], other[key], atol=0, rtol=0)


def test_a_run_that_begins_to_average_later_begins_with_its_weights(fake: ModuleType, tmp_path: Path) -> None:
    train(fake, tmp_path / "run", steps=4)
    watch = Watch()
    ckpt = tmp_path / "run" / "checkpoints" / "last.ckpt"
    train(fake, tmp_path / "run", EMA(decay=DECAY), watch, steps=8, ckpt=ckpt)
    want, saved = averaged(watch.steps), last(tmp_path / "run")["state_dict"]
    torch.testing.assert_close({name: saved[name] for name in want}, want)


@pytest.mark.parametrize(("name", "value"), [("decay", 1.0), ("decay", -0.1), ("start", -1)])
def test_a_number_out_of_range_is_refused(name: str, value: Any) -> None:
    with pytest.raises(RecipeError, match=rf"EMA\.{name}"):
        EMA(**{name: value})
