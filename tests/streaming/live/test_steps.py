"""Uniform decoding as a stream goes is uniform decoding of the whole of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from jepa_vl.streaming.live.steps import Steps
from jepa_vl.streaming.policies.uniform import UniformPolicy


@pytest.mark.parametrize("rate", [2.0, 1.0, 0.5, 0.4, 0.2, 0.05])
def test_the_windows_are_those_of_the_uniform_policy(rate: float, make_stream: Callable[..., Any]) -> None:
    stream, _ = make_stream(seconds=300.0)
    steps = Steps(rate=rate, window=stream.window, stride=stream.stride)
    live = [steps.push(float(t), e) for t, e in zip(stream.times, stream.embeddings, strict=True)]
    found = [decode for decode in live if decode is not None]
    expected = UniformPolicy().decide(stream, rate)
    assert abs(len(found) - len(expected)) <= 1
    nearest = [min(abs(d.at - e.at) for e in expected) for d in found]
    assert max(nearest) <= stream.stride + 1e-9  # of two windows as near, either
    assert np.median(nearest) == 0


def test_a_gap_takes_the_intervals_in_it_and_no_more() -> None:
    steps = Steps(rate=0.5, window=1.0, stride=0.5)
    nothing = np.zeros(1, np.float32)
    times = [0.5, 1.0, 1.5, 20.5, 21.0, 21.5, 22.0, 22.5, 23.0]
    assert [t for t in times if steps.push(t, nothing) is not None] == [1.0, 21.0, 23.0]
