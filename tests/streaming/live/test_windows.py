"""Windows of a stream: the frames that training would take, none of the future, and no gap unnoticed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from jepa_vl.data.video import read_clip
from jepa_vl.errors import RecipeError
from jepa_vl.streaming.live.source import Picture, open_source
from jepa_vl.streaming.live.windows import Window, Windows, check_windows
from jepa_vl.vision.base import Preprocessing

READ = Preprocessing(size=(8, 8), num_frames=4)


def pictures(times: Iterable[float], *, duration: float = 0.0) -> Iterable[Picture]:
    """A picture says its number."""
    for number, at in enumerate(times):
        yield Picture(at, duration, partial(says, number))


def says(number: int, _: Preprocessing) -> torch.Tensor:
    return torch.full((3, 8, 8), number % 256).byte()


def cut(times: Iterable[float], *, window: float = 1.0, stride: float = 0.5) -> tuple[list[Window], Windows]:
    cutter = Windows(pictures(times), READ, window=window, stride=stride)
    return list(cutter), cutter


def numbers(window: Window) -> list[int]:
    return [frame.number for frame in window.frames]


@pytest.mark.parametrize(
    ("rate", "window", "stride"), [(4, 1.0, 0.5), (24, 1.0, 0.5), (10, 2.0, 0.7), (7, 1.3, 1.3)]
)
def test_frames_of_a_window_are_those_that_reading_its_stretch_gives(
    rate: int, window: float, stride: float, write_video: Callable[..., Path], tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (5 * rate + 1, 8, 8, 3), dtype=np.uint8)
    video = write_video(tmp_path / "noise.mp4", noise, rate=rate)
    windows = list(Windows(open_source(video), READ, window=window, stride=stride))
    whole = [each for each in windows if each.end - each.start > window - 1e-6]
    assert len(whole) >= (5 - window) // stride
    for each in whole:
        expected = read_clip(str(video), READ, start=each.start, end=each.end)
        assert torch.equal(torch.stack([frame.image for frame in each.frames]), expected), each.start


def test_windows_lie_on_a_grid_and_the_last_ends_with_the_stream() -> None:
    windows, cutter = cut(i / 4 for i in range(10))  # 2.5 s
    assert [(w.start, w.end) for w in windows] == [(0, 1), (0.5, 1.5), (1, 2), (1.5, 2.5)]
    windows, cutter = cut(i / 4 for i in range(11))  # a quarter of a second more
    assert (windows[-1].start, windows[-1].end) == (2.0, 2.75)
    assert numbers(windows[-1]) == [8, 9, 10, 10]
    assert cutter.reached == 2.75
    assert cutter.gaps == 0


def test_a_stream_that_is_shorter_than_a_window_is_one_window() -> None:
    windows, _ = cut([0.0, 0.25])
    assert [(w.start, w.end, numbers(w)) for w in windows] == [(0.0, 0.5, [0, 1, 1, 1])]
    assert len(cut([0.0])[0]) == 1
    assert cut([])[0] == []


def test_windows_without_a_frame_are_counted_and_none_is_made_up() -> None:
    times = [i / 4 for i in range(8)] + [10 + i / 4 for i in range(8)]
    windows, cutter = cut(times)
    starts = [w.start for w in windows]
    assert starts == [0, 0.5, 1.0, 1.5, 9.5, 10, 10.5, 11]
    assert cutter.gaps == 15  # those that begin at 2.0, 2.5, …, 9.0
    # what was on show before the gap is no part of the window after it
    assert numbers(windows[4]) == [8, 8, 8, 9]


def test_stamps_that_leap_years_ahead_cost_no_time() -> None:
    begun = time.perf_counter()
    _, cutter = cut([0.0, 0.25, 1e9, 1e9 + 0.25])
    assert time.perf_counter() - begun < 1.0
    assert cutter.gaps == pytest.approx(2e9, rel=1e-3)


def test_a_stream_whose_time_begins_late_has_no_gap_before_it() -> None:
    windows, cutter = cut(1.7e9 + i / 4 for i in range(8))
    assert cutter.gaps == 0
    assert [w.start - 1.7e9 for w in windows] == [0.0, 0.5, 1.0]


def test_frames_of_the_future_change_no_window_that_was_yielded() -> None:
    times = [i / 4 for i in range(40)]
    whole, _ = cut(times)
    for length in range(1, 40):
        begun, _ = cut(times[:length])
        complete = [w for w in begun if w.end <= times[length - 1]]
        assert [numbers(w) for w in complete] == [numbers(w) for w in whole[: len(complete)]]


def test_a_window_is_there_before_any_frame_after_it_is_read() -> None:
    read = []

    def watched() -> Iterable[Picture]:
        for picture in pictures(i / 4 for i in range(40)):
            read.append(picture.time)
            yield picture

    for window in Windows(watched(), READ, window=1.0, stride=0.5):
        assert read[-1] <= window.end


def test_only_frames_that_a_window_wants_are_resized() -> None:
    resized = []

    def fit(number: int, read: Preprocessing) -> torch.Tensor:
        resized.append(number)
        return says(number, read)

    source = (Picture(i / 100, 0.01, partial(fit, i)) for i in range(1000))
    windows = list(Windows(source, READ, window=1.0, stride=0.5))
    assert len(windows) == 19
    assert len(resized) == len(set(resized)) == 40  # four a second


@pytest.mark.parametrize(
    ("window", "stride"),
    [(0, 0.5), (1, 0), (1, 1.5), (math.nan, 0.5), (1, math.nan), (math.inf, 0.5), (1, 1e-9)],
)
def test_windows_with_gaps_between_them_or_without_end_are_refused(window: float, stride: float) -> None:
    with pytest.raises(RecipeError, match="in no window"):
        check_windows(window, stride)
