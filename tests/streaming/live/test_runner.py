"""A stream as it goes: what is said and when, what is skipped and counted, and what is refused."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import jepa_vl
from jepa_vl.decoders.nearest import NearestText
from jepa_vl.errors import RecipeError, UserError
from jepa_vl.streaming.base import Decode, Follower, OnlinePolicy, Policy
from jepa_vl.streaming.live.source import Picture, Source, open_source
from jepa_vl.streaming.policies.random import RandomPolicy
from jepa_vl.streaming.policies.selective import SelectivePolicy
from jepa_vl.streaming.policies.uniform import UniformPolicy
from jepa_vl.use.model import Model

Make = Callable[..., Model]
Frames = Callable[..., Iterator[tuple[float, NDArray[np.uint8]]]]
SHOWN = [("red", 16), ("green", 12), ("blue", 12)]  # 10 s


class WhenNew(OnlinePolicy):
    """Decodes a window that is unlike the one decoded last."""

    label = "when new"

    def start(self, *, rate: float | None, window: float, stride: float) -> Follower:
        return _WhenNew(window)


class _WhenNew(Follower):
    def __init__(self, window: float) -> None:
        self.window, self.score = window, 1.0
        self.last: NDArray[np.float32] | None = None

    def push(self, time: float, embedding: NDArray[np.float32]) -> Decode | None:
        self.score = 1.0 if self.last is None else 1 - float(self.last @ embedding)
        if self.score < 0.5:
            return None
        self.last = embedding
        return Decode(time, time + self.window / 2, time - 1, time, embedding)

    def status(self) -> dict[str, Any]:
        return {"score": self.score, "threshold": 0.5}


def test_each_colour_is_said_once_when_it_comes(colour_model: Make, coloured: Frames) -> None:
    run = jepa_vl.stream(colour_model(), coloured(SHOWN), policy=WhenNew())
    events = list(run)
    assert [event.text for event in events] == ["red", "green", "blue"]
    assert [event.time for event in events] == pytest.approx([0.5, 4.5, 7.5], abs=0.5)
    assert all(event.decided == event.time + 0.5 for event in events)
    assert all(0.5 < event.latency < 5 and event.score is not None for event in events)
    tally = run.tally
    assert (tally.windows, tally.decodes, tally.gaps, tally.behind) == (19, 3, 0, 0)
    assert tally.seconds == 10.0
    assert tally.wall > 0
    assert sum(tally.phases.values()) <= tally.wall


def test_an_event_is_there_before_the_future_of_its_window_is_read(
    colour_model: Make, coloured: Frames
) -> None:
    read = []

    def watched() -> Iterator[tuple[float, Any]]:
        for seconds, frame in coloured(SHOWN):
            read.append(seconds)
            yield seconds, frame

    # a file is read a few windows ahead, a live stream is not
    for event in jepa_vl.stream(colour_model(embeds=False), watched(), rate=0.5):
        assert read[-1] <= event.decided


def test_what_comes_later_changes_nothing_that_was_said(colour_model: Make, coloured: Frames) -> None:
    whole = list(jepa_vl.stream(colour_model(), coloured(SHOWN), policy=WhenNew()))
    part = list(jepa_vl.stream(colour_model(), coloured(SHOWN[:2]), policy=WhenNew()))
    assert [(e.time, e.text, e.decided) for e in part] == [(e.time, e.text, e.decided) for e in whole[:2]]


def test_uniform_speaks_at_a_fixed_stride_with_embeddings_or_without(
    colour_model: Make, coloured: Frames
) -> None:
    shown = [("red", 16), ("green", 8), ("blue", 16)]
    said = [
        [
            (event.time, event.text)
            for event in jepa_vl.stream(model, coloured(shown), policy="uniform", rate=0.5)
        ]
        for model in (colour_model(), colour_model(embeds=False))
    ]
    assert said[0] == said[1] == [(1, "red"), (3, "red"), (5, "green"), (7, "blue"), (9, "blue")]


def test_a_model_without_embeddings_speaks_uniformly_and_takes_no_other_policy(
    colour_model: Make, coloured: Frames
) -> None:
    model = colour_model(embeds=False)
    assert isinstance(jepa_vl.stream(model, coloured(SHOWN)).policy, UniformPolicy)
    for policy in (WhenNew(), UniformPolicy(pooled=True), "selective"):
        with pytest.raises(RecipeError, match="only uniform is left"):
            jepa_vl.stream(model, coloured(SHOWN), policy=policy)


def test_a_policy_that_wants_the_whole_video_gets_it(colour_model: Make, coloured: Frames) -> None:
    run = jepa_vl.stream(colour_model(), coloured(SHOWN), policy=SelectivePolicy(), rate=0.3)
    events = list(run)
    assert [event.text for event in events] == ["red", "green", "blue"]
    assert all(event.decided == 10.0 and event.latency > 10 - event.time for event in events)
    assert len(run.embedded()) == 19


@pytest.mark.parametrize("policy", [RandomPolicy(), UniformPolicy(pooled=True)], ids=lambda p: p.label)
def test_what_is_decided_of_the_whole_video_says_when_it_was_there(
    policy: Policy, colour_model: Make, coloured: Frames
) -> None:
    events = list(jepa_vl.stream(colour_model(), coloured(SHOWN), policy=policy, rate=0.3))
    assert all(event.decided == 10.0 and event.latency > 10 - event.time for event in events)


def test_the_default_policy_holds_the_rate(colour_model: Make, coloured: Frames) -> None:
    shown = [(colour, 10) for _ in range(40) for colour in ("red", "green", "blue", "black")]
    run = jepa_vl.stream(colour_model(), coloured(shown), rate=0.2)
    list(run)
    assert run.tally.rate == pytest.approx(0.2, rel=0.25)


def test_a_threshold_takes_the_place_of_a_rate(colour_model: Make, coloured: Frames) -> None:
    often = list(jepa_vl.stream(colour_model(), coloured(SHOWN), threshold=1e-4))
    never = list(jepa_vl.stream(colour_model(), coloured(SHOWN), threshold=1e6))
    assert len(never) < len(often)


def test_what_cannot_be_is_refused_in_one_message(colour_model: Make, coloured: Frames) -> None:
    model = colour_model()
    with pytest.raises(RecipeError, match="at most 2 decodes a second"):
        jepa_vl.stream(model, coloured(SHOWN), rate=2.5)
    with pytest.raises(RecipeError, match="cannot be met"):
        jepa_vl.stream(model, coloured(SHOWN), rate=0.0)
    with pytest.raises(RecipeError, match="give one of them"):
        jepa_vl.stream(model, coloured(SHOWN), rate=1.0, threshold=1.0)
    with pytest.raises(RecipeError, match="'uniform' takes a rate"):
        jepa_vl.stream(model, coloured(SHOWN), threshold=1.0, policy="uniform")
    with pytest.raises(RecipeError, match="selective"):
        jepa_vl.stream(model, coloured(SHOWN), policy="selectve")
    with pytest.raises(RecipeError, match="at annotations, and a video has none"):
        jepa_vl.stream(model, coloured(SHOWN), policy="oracle")
    with pytest.raises(RecipeError, match="is live; choose online or uniform"):
        jepa_vl.stream(model, coloured(SHOWN), policy="selective", live=True)
    model.objective.abilities = frozenset({"embed", "score"})
    with pytest.raises(UserError, match="--decoder"):
        jepa_vl.stream(model, coloured(SHOWN))


def test_a_live_stream_that_is_too_fast_is_followed_with_what_was_skipped_counted(
    colour_model: Make, coloured: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = colour_model()
    decode = model.objective.decode

    def slow(embeddings: torch.Tensor) -> list[str]:
        time.sleep(0.02)
        return decode(embeddings)

    monkeypatch.setattr(model.objective, "decode", slow)
    run = jepa_vl.stream(model, coloured([("red", 400)]), policy="uniform", rate=2.0, live=True)
    events = list(run)
    assert run.tally.behind > 100
    assert run.tally.windows + run.tally.behind == 199
    assert events[-1].time > 98  # it is at the end when the stream is
    assert [e.time for e in events] == sorted(e.time for e in events)


class Slow(Source):
    """Says no length, as a pipe, and gives nothing more until something was said of what it gave."""

    name, blocking = "slow", True

    def __init__(self, frames: Iterator[tuple[float, Any]]) -> None:
        super().__init__()
        self.said = threading.Event()
        self._pictures = iter(open_source(frames))

    def __iter__(self) -> Iterator[Picture]:
        for picture in self._pictures:
            if picture.time == 2.5:
                assert self.said.wait(5), "it waits for more windows than there are"
            yield picture


def test_what_comes_slowly_is_told_before_there_are_as_many_windows_as_could_be_encoded_at_once(
    colour_model: Make, coloured: Frames
) -> None:
    source = Slow(coloured(SHOWN))
    run = jepa_vl.stream(colour_model(), source, policy=WhenNew())
    assert next(run).text == "red"
    source.said.set()
    assert [event.text for event in run] == ["green", "blue"]
    assert run.tally.behind == 0


def test_a_decoder_that_knows_no_text_is_refused_at_once(colour_model: Make, coloured: Frames) -> None:
    model = colour_model()
    decoder = model.objective.decoder = NearestText()
    with pytest.raises(UserError, match="empty bank"):
        jepa_vl.stream(model, coloured(SHOWN))
    assert jepa_vl.stream(model, coloured(SHOWN), texts=["red"]).tally.windows == 0
    assert decoder.texts == ["red"]


def test_a_live_stream_that_stalls_ends_with_an_error(colour_model: Make, coloured: Frames) -> None:
    stop = threading.Event()

    def stalls() -> Iterator[tuple[float, Any]]:
        yield from coloured([("red", 8)])
        stop.wait(20)

    run = jepa_vl.stream(
        colour_model(), stalls(), policy=WhenNew(), live=True, timeout=0.2, window=0.5, stride=0.25
    )
    assert next(run).text == "red"
    with pytest.raises(UserError, match="stalled"):
        next(run)
    stop.set()


def test_a_gap_is_counted(colour_model: Make, coloured: Frames) -> None:
    frames = [pair for pair in coloured([("red", 80)]) if not 5 <= pair[0] < 15]
    run = jepa_vl.stream(colour_model(), frames, policy=WhenNew())
    list(run)
    assert run.tally.gaps == 19
    assert run.tally.windows + run.tally.gaps == 39


def test_closing_in_the_middle_keeps_the_counts(colour_model: Make, coloured: Frames) -> None:
    run = jepa_vl.stream(colour_model(), coloured([("red", 4000)]), policy="uniform", rate=2.0)
    for _ in range(5):
        next(run)
    run.close()
    assert run.tally.decodes == 5
    assert run.reached < 20
    assert list(run) == []


def test_a_report_has_what_it_needs_and_never_too_many_pictures(colour_model: Make, coloured: Frames) -> None:
    run = jepa_vl.stream(colour_model(), coloured([("red", 2000)]), policy=WhenNew(), record=True)
    list(run)
    recording = run.recording
    assert recording is not None
    stream = run.embedded()
    assert len(stream) == len(recording.scores) == len(recording.thresholds) == 999
    assert 100 <= len(recording.thumbnails.pictures) <= 200
    steps = np.diff([seconds for seconds, _ in recording.thumbnails.pictures])
    assert np.allclose(steps, steps[0])
    assert recording.thumbnails.pictures[0][1][:2] == b"\xff\xd8"  # a JPEG


@pytest.mark.slow
def test_hours_of_the_same_picture_take_no_memory(colour_model: Make) -> None:
    """20,000 windows, 2.8 hours at two a second."""
    frame = np.zeros((8, 8, 3), np.uint8)
    run = jepa_vl.stream(colour_model(), ((i / 4, frame) for i in range(40_000)), rate=0.35)
    held: list[int] = []
    tracemalloc.start()
    try:
        cut = run._embedded

        def watched(windows: Any) -> Any:
            if run.tally.windows % 2000 == 0:
                held.append(tracemalloc.get_traced_memory()[0])
            return cut(windows)

        run._embedded = watched  # type: ignore[method-assign]
        list(run)
    finally:
        tracemalloc.stop()
    assert run.tally.windows == 19_999
    assert len(held) >= 9
    assert max(held[2:]) - held[1] < 100_000  # bytes


def test_a_file_says_what_its_frames_say(
    colour_model: Make, write_video: Callable[..., Path], tmp_path: Path
) -> None:
    video = write_video(tmp_path / "a.mp4", SHOWN)
    events = list(jepa_vl.stream(colour_model(), video, policy=WhenNew()))
    assert [event.text for event in events] == ["red", "green", "blue"]
