"""The hash that tells encoders apart."""

from __future__ import annotations

import torch
from torch import nn

from jepa_vl.vision.fingerprint import fingerprint


def test_order_of_settings_does_not_matter_and_their_values_do() -> None:
    assert fingerprint({"a": 1, "b": (2,)}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_one_changed_bit_of_a_weight_or_buffer_changes_it() -> None:
    module = nn.BatchNorm1d(3)
    before = fingerprint({}, module)
    assert before == fingerprint({}, module)
    module.running_mean[1] = 1e-30
    assert fingerprint({}, module) != before


def test_weights_of_every_type_can_be_hashed() -> None:
    module = nn.Linear(2, 2).to(torch.bfloat16)
    assert fingerprint({}, module) != fingerprint({}, module.float())


def test_equal_bytes_under_another_name_or_shape_differ() -> None:
    one, other = nn.Module(), nn.Module()
    one.register_buffer("a", torch.zeros(2, 3))
    other.register_buffer("a", torch.zeros(3, 2))
    assert fingerprint({}, one) != fingerprint({}, other)
