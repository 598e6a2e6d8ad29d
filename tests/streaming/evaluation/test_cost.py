"""What a call is said to take: the median, without the first call."""

from __future__ import annotations

import time

import torch

from jepa_vl.streaming.evaluation.cost import MEASURED, rows_of, seconds_of

CPU = torch.device("cpu")


def test_the_first_call_and_a_slow_one_do_not_count() -> None:
    waits = [0.2, 0.01, 0.01, 0.15, 0.01, 0.01]
    found = seconds_of(time.sleep, waits, CPU)
    assert found is not None
    assert 0.01 <= found < 0.1


def test_no_more_calls_are_made_than_are_needed() -> None:
    made: list[int] = []
    seconds_of(made.append, range(100), CPU)
    assert made == list(range(MEASURED + 1))
    assert len(rows_of(torch.zeros(100, 3))) == MEASURED + 1


def test_one_call_alone_says_nothing() -> None:
    assert seconds_of(abs, [1], CPU) is None
    assert seconds_of(abs, [], CPU) is None
