"""Random generators that go on after a resume."""

from __future__ import annotations

import io
import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from jepa_vl.callbacks.random_state import RandomState


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def resume(state: dict[str, Any], *, world_size: int = 1) -> None:
    callback = RandomState()
    callback.load_state_dict(state)
    trainer: Any = SimpleNamespace(world_size=world_size, global_rank=0)
    callback.on_train_start(trainer, torch.nn.Module())  # type: ignore[arg-type]


def test_every_generator_goes_on_where_it_was() -> None:
    file = io.BytesIO()
    torch.save(RandomState().state_dict(), file)
    file.seek(0)
    expected = draw()
    resume(torch.load(file, weights_only=True))
    assert draw() == expected


def test_another_number_of_processes_keeps_its_own_seeds() -> None:
    state = RandomState().state_dict()
    torch.manual_seed(1)
    expected = torch.rand(())
    torch.manual_seed(1)
    resume(state, world_size=2)
    assert torch.rand(()) == expected
