from __future__ import annotations

import torch
from torch import nn

from jepa_vl.component import Component


class Part(Component):
    def __init__(self, *, frozen: bool = False) -> None:
        super().__init__(frozen=frozen)
        self.backbone = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
        self.head = nn.Linear(2, 2)


def test_a_frozen_part_stays_in_eval_mode_whatever_is_asked() -> None:
    part = Part(frozen=True)
    part.train()
    assert not part.backbone.training


def test_a_frozen_submodule_stays_in_eval_mode_while_the_rest_trains() -> None:
    part = Part()
    part.freeze_part(part.backbone)
    part.train()
    assert part.head.training
    assert not any(m.training for m in part.backbone.modules())


def test_groups_hold_every_trainable_parameter_once_and_no_frozen_one() -> None:
    part = Part()
    part.freeze_part(part.backbone)
    listed = [p for _, group in part.parameter_groups() for p in group]
    assert {id(p) for p in listed} == {id(p) for p in part.head.parameters()}
    assert all(isinstance(p, torch.Tensor) for p in listed)
