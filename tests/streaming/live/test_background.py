"""Reading ahead: nothing is lost but what is counted, and a stall ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from jepa_vl.errors import UserError
from jepa_vl.streaming.live.background import Background


def test_everything_comes_in_order_where_nothing_may_be_dropped() -> None:
    read = Background(iter(range(1000)), capacity=3, drop=False, timeout=5, name="x")
    assert [item for several in read.batches(2) for item in several] == list(range(1000))
    assert read.dropped == 0


def test_no_more_is_read_ahead_than_there_is_room_for() -> None:
    made = []

    def items() -> Iterator[int]:
        for i in range(100):
            made.append(i)
            yield i

    next(Background(items(), capacity=3, drop=False, timeout=5, name="x").batches(1))
    time.sleep(0.1)
    assert len(made) <= 6


def test_a_list_holds_what_waits_and_waits_for_no_more() -> None:
    ready, go = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield from range(5)
        ready.set()
        go.wait(10)
        yield 5

    read = Background(items(), capacity=8, drop=False, timeout=5, name="x")
    ready.wait(5)
    batches = read.batches(3)
    assert [next(batches), next(batches)] == [[0, 1, 2], [3, 4]]
    go.set()
    assert list(batches) == [[5]]


def test_who_is_too_slow_gets_the_newest_and_the_others_are_counted() -> None:
    ready = threading.Event()

    def items() -> Iterator[int]:
        yield from range(10)
        ready.set()

    read = Background(items(), capacity=2, drop=True, timeout=5, name="x")
    ready.wait(5)
    assert list(read.batches(1)) == [[8], [9]]
    assert read.dropped == 8


def test_a_source_that_gives_nothing_is_an_error_after_the_timeout() -> None:
    stop = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        stop.wait(10)

    read = Background(items(), capacity=2, drop=True, timeout=0.2, name="cam").batches(8)
    assert next(read) == [1]
    with pytest.raises(UserError, match="'cam' stalled"):
        next(read)
    stop.set()


def test_an_error_of_the_source_comes_after_what_was_read_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise UserError("broken")

    read = Background(items(), capacity=2, drop=False, timeout=5, name="x").batches(8)
    assert next(read) == [1]
    with pytest.raises(UserError, match="broken"):
        next(read)


def test_closing_ends_the_thread_and_closes_the_source() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            closed.set()

    read = Background(items(), capacity=2, drop=False, timeout=5, name="x")
    next(read.batches(1))
    read.close()
    assert closed.wait(5)
