"""Bytes that a step keeps for its backward pass."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


@pytest.fixture
def saved_bytes() -> Callable[[Callable[[], Tensor]], int]:
    """Bytes of the storages that autograd keeps, each counted once."""

    def measure(step: Callable[[], Tensor]) -> int:
        storages: dict[int, int] = {}

        def note(x: Tensor) -> Tensor:
            storages[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        with saved_tensors_hooks(note, lambda x: x):
            result = step()  # kept, so that no storage is freed and another takes its place
        assert result.requires_grad
        return sum(storages.values())

    return measure
