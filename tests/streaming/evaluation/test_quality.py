"""Matching decodes with annotations against a slow loop, and what deciding is said to take."""

from __future__ import annotations

import random
import time
from typing import ClassVar

import numpy as np
import pytest

from jepa_vl.streaming.base import Decode, EmbeddingStream, Policy
from jepa_vl.streaming.evaluation.quality import NONE, match, nearest_in_time, timed


def decode(at: float, decided: float | None = None) -> Decode:
    return Decode(at, at + 0.5 if decided is None else decided, at, at, np.ones(1, dtype=np.float32))


@pytest.mark.parametrize("seed", range(20))
def test_matches_equal_a_slow_loop(seed: int) -> None:
    draw = random.Random(seed)
    decodes = sorted(
        (decode(draw.randrange(40) / 2, draw.uniform(0, 30)) for _ in range(draw.randrange(12))),
        key=lambda d: d.at,
    )
    asked = [draw.randrange(80) / 4 for _ in range(9)]
    found = match(decodes, asked, tolerance=1.0)
    for k, t in enumerate(asked):
        near = [d for d in decodes if abs(d.at - t) <= 1]
        if near:
            assert found.latency[k] == pytest.approx(min(d.decided for d in near) - t)
        else:
            assert np.isnan(found.latency[k])
        best = min(range(len(decodes)), key=lambda i: (abs(decodes[i].at - t), i), default=NONE)
        assert found.nearest[k] == best
    assert found.calls == len(decodes)
    assert found.about == sum(any(abs(d.at - t) <= 1 for t in asked) for d in decodes)


def test_of_two_as_near_decodes_the_earlier_is_compared() -> None:
    at = np.array([1.0, 2.0, 2.0, 4.0])
    assert nearest_in_time(at, np.array([1.5, 3.0, 2.0, 0.0, 9.0])).tolist() == [0, 1, 1, 0, 3]


def test_times_that_are_level_but_for_rounding_are_level() -> None:
    assert nearest_in_time(np.array([0.1, 0.3]), np.array([0.1 + 0.1]))[0] == 0
    assert match([decode(0.3)], [0.1 + 0.2 - 1.0], tolerance=1.0).about == 1


def test_a_stream_without_decodes_matches_nothing() -> None:
    found = match([], [1.0, 2.0], tolerance=1.0)
    assert found.nearest.tolist() == [NONE, NONE]
    assert np.isnan(found.latency).all()
    assert (found.calls, found.about) == (0, 0)


class Prepares(Policy):
    """Takes long for the first rate of a stream, as a tree that all rates share does."""

    causal: ClassVar[bool] = False
    label = "prepares"

    def __init__(self) -> None:
        self.known: list[EmbeddingStream] = []

    def decide(self, stream: EmbeddingStream, rate: float) -> list[Decode]:
        if not any(stream is known for known in self.known):
            self.known.append(stream)
            time.sleep(0.05)
        return [decode(rate)]


def test_what_is_kept_for_other_rates_is_counted_at_every_rate() -> None:
    stream = EmbeddingStream(np.array([0.5]), np.ones((1, 1), dtype=np.float32), 1.0, 1.0, 1.0)
    policy = Prepares()
    for rate in (2.0, 1.0):
        decodes, seconds = timed(policy, stream, rate)
        assert decodes[0].at == rate
        assert seconds > 0.04
