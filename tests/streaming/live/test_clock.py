"""Seconds only grow, whatever the time stamps do."""

from __future__ import annotations

import pytest

from jepa_vl.streaming.live.clock import Clock


def test_good_stamps_stay_as_they_are() -> None:
    clock = Clock()
    stamps = [0.04, 0.08, 0.5, 100.0]  # a variable rate, and a gap
    assert [clock(stamp) for stamp in stamps] == stamps
    assert clock.late == 0
    assert clock.jumped == []


def test_where_stamps_jump_back_time_goes_on() -> None:
    clock = Clock()
    times = [clock(stamp) for stamp in (0.0, 0.25, 9.75, 10.0, 0.0, 0.25, 0.5)]
    assert times == pytest.approx([0.0, 0.25, 9.75, 10.0, 10.25, 10.5, 10.75])
    assert clock.jumped == [10.0]


def test_a_frame_that_comes_late_is_passed_over_and_counted() -> None:
    clock = Clock()
    assert [clock(stamp) for stamp in (0.0, 0.5, 0.25, 0.5, 0.75)] == [0.0, 0.5, None, None, 0.75]
    assert clock.late == 2
    assert clock.jumped == []


def test_frames_without_stamps_follow_each_other_at_the_announced_rate() -> None:
    clock = Clock(interval=0.1)
    assert [clock(None) for _ in range(3)] == pytest.approx([0.0, 0.1, 0.2])
