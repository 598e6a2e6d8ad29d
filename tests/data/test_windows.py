"""Windows of long videos."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from jepa_vl.data.records import read_manifest, write_manifest
from jepa_vl.data.windows import STREAM, sliding_windows, with_windows
from jepa_vl.errors import ManifestError, RecipeError
from jepa_vl.sample import WINDOW, Sample


def moment(i: int, media: str = "a.mp4", split: str = "test") -> Sample:
    return Sample(
        id=f"{split} {media} {i}",
        media=media,
        start=i,
        end=i + 2,
        target="someone waves",
        kind="moment",
        split=split,
        episode=f"{split} {media}",
        source="charades",
    )


def test_windows_overlap_by_the_share_asked_for() -> None:
    assert sliding_windows(10, [4], 0.5) == [(0, 4), (2, 6), (4, 8), (6, 10)]
    assert sliding_windows(10, [4], 0) == [(0, 4), (4, 8), (6, 10)]


@pytest.mark.parametrize("duration", [0.5, 7, 29.97, 30.0334])
@pytest.mark.parametrize("overlap", [0, 0.25, 0.9])
def test_every_second_is_covered_and_none_behind_the_end(duration: float, overlap: float) -> None:
    for length in (1, 3.3, 8):
        windows = sliding_windows(duration, [length], overlap)
        assert windows == sorted(set(windows))
        assert windows[0][0] == 0
        assert duration - 0.001 < windows[-1][1] <= duration
        for (start, end), (following, _) in itertools.pairwise(windows):
            assert end - start == pytest.approx(length)
            assert start < following <= end + 1e-9


def test_a_stride_says_where_the_next_window_begins_whatever_the_length() -> None:
    assert sliding_windows(3, [1, 2], stride=0.5) == [
        *((t / 2, t / 2 + 1) for t in range(5)),
        *((t / 2, t / 2 + 2) for t in range(3)),
    ]
    assert sliding_windows(2.75, [1], stride=0.5)[-2:] == [(1.5, 2.5), (1.75, 2.75)]  # ends with the video


def test_lengths_beyond_the_video_give_the_whole_of_it_once() -> None:
    assert sliding_windows(5, [5, 8, 30]) == [(0, 5)]
    assert sliding_windows(5, [4, 8], 0) == [(0, 4), (1, 5), (0, 5)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, [4], 0.5), "duration of a video is 0 s"),
        ((10, [], 0.5), r"lengths are \[\]"),
        ((10, [4, -1], 0.5), r"lengths are \[4, -1\]"),
        ((10, [4], 1.0), "overlap is 1"),
        ((10, [4], -0.1), r"overlap is -0\.1"),
    ],
)
def test_numbers_out_of_range_are_named(arguments: tuple[float, list[float], float], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        sliding_windows(*arguments)


@pytest.mark.parametrize("stride", [0, -1, 4.5])
def test_a_stride_out_of_range_is_named(stride: float) -> None:
    with pytest.raises(RecipeError, match=rf"stride is {stride:g} s; expected .* at most .* 4 s"):
        sliding_windows(10, [4, 8], stride=stride)


def test_overlap_and_stride_are_not_both_given() -> None:
    with pytest.raises(RecipeError, match=r"overlap \(0\.5\) and stride \(1 s\) exclude each other"):
        sliding_windows(10, [4], 0.5, stride=1)


def test_an_annotated_stream_has_its_windows_too() -> None:
    said = Sample(id="s", media="a.mp4", target="someone waves", kind=STREAM, timestamps=(1.0,), split="val")
    found = with_windows([said], {"a.mp4": 2.0}, lengths=[1.0], stride=0.5)
    assert [(s.start, s.end, s.kind, s.split) for s in found[1:]] == [
        (t, t + 1, WINDOW, "val") for t in (0, 0.5, 1)
    ]


def test_a_video_has_its_windows_once_in_each_split_that_searches_it() -> None:
    given = [
        moment(0),
        moment(3),
        moment(0, split="val"),
        moment(0, "b.mp4"),
        Sample(id="caption", media="c.mp4", target="a caption"),
    ]
    found = with_windows(given, {"a.mp4": 8, "b.mp4": 4}, lengths=[4])
    assert found[:5] == given
    windows = found[5:]
    assert all(s.kind == WINDOW and s.target == "" for s in windows)
    assert [(s.split, s.media, s.start, s.end) for s in windows] == [
        *(("test", "a.mp4", t, t + 4) for t in (0, 2, 4)),
        *(("val", "a.mp4", t, t + 4) for t in (0, 2, 4)),
        ("test", "b.mp4", 0, 4),
    ]
    assert {(s.split, s.episode, s.source) for s in windows} == {
        ("test", "test a.mp4", "charades"),
        ("val", "val a.mp4", "charades"),
        ("test", "test b.mp4", "charades"),
    }


def test_ids_are_unique_in_a_manifest_and_do_not_depend_on_what_else_is_there(tmp_path: Path) -> None:
    durations = {"a.mp4": 29.97, "b.mp4": 12.5}
    both = with_windows([moment(0), moment(0, "b.mp4")], durations, lengths=[4, 10])
    alone = with_windows([moment(0, "b.mp4")], durations, lengths=[10])
    assert {s.id for s in alone} < {s.id for s in both}
    assert with_windows(both, durations, lengths=[4, 10]) == both
    write_manifest(tmp_path / "m.jsonl", both)
    assert read_manifest(tmp_path / "m.jsonl") == both


def test_a_video_of_unknown_duration_is_named() -> None:
    with pytest.raises(ManifestError, match=r"sample 'test a\.mp4 0': the duration of 'a\.mp4'"):
        with_windows([moment(0)], {"b.mp4": 4}, lengths=[4])
