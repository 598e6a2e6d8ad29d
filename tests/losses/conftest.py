"""Bytes that a step keeps for its backward pass, and bytes it holds at its peak."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile


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


@pytest.fixture
def peak_bytes() -> Callable[[Callable[[], None]], int]:
    """Highest sum of all allocations less all releases within a step."""

    def measure(step: Callable[[], None]) -> int:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            step()
        events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
        held = peak = 0
        for event in sorted(events, key=lambda e: e.start_ns()):
            held += event.nbytes()
            peak = max(peak, held)
        return peak

    return measure
