from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

import numpy as np
import pytest

from jepa_vl.errors import RecipeError, UserError
from jepa_vl.registry import get, names
from jepa_vl.streaming.base import EmbeddingStream
from jepa_vl.streaming.policies.online import TriggeredPolicy
from jepa_vl.streaming.policies.uniform import UniformPolicy
from jepa_vl.streaming.triggers.drift import DriftTrigger
from jepa_vl.streaming.triggers.variance import VarianceTrigger

if TYPE_CHECKING:
    from _typeshed import TraceFunction

Make = Callable[..., tuple[EmbeddingStream, np.ndarray]]
RATES = [0.05, 0.1, 0.35, 0.6, 1.0]


def steady(seconds: float, moments: list[tuple[float, float]]) -> EmbeddingStream:
    """A still scene with events of their own directions, windows of 1 s every half second."""
    times = np.arange(0.5, seconds - 0.5 + 1e-9, 0.5)
    rows = np.zeros((len(times), 2 + len(moments)), dtype=np.float32)
    for row, time in zip(rows, times, strict=True):
        shares = [max(0.0, min(b, time + 0.5) - max(a, time - 0.5)) for a, b in moments]
        row[0], row[2:] = 1 - sum(shares), shares
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    middles = tuple((a + b) / 2 for a, b in moments)
    return EmbeddingStream(times, rows, 1.0, 0.5, seconds, "steady", middles)


@pytest.mark.parametrize("trigger", names("triggers"))
@pytest.mark.parametrize("rate", RATES)
def test_the_rate_is_reached_within_a_tenth_or_two_decodes(
    make_stream: Make, rate: float, trigger: str
) -> None:
    policy = TriggeredPolicy(trigger=get("triggers", trigger)())
    for seed, scene in enumerate(({"events": 20}, {"events": 60}, {"events": 80, "length": (2.0, 4.5)})):
        stream = make_stream(seed=seed, **scene)[0]
        wanted = rate * stream.duration
        # Page's sum is nothing most of the time: the threshold has a long way to its lower scores
        slack = 0.15 if trigger == "change_point" else 0.1
        assert abs(len(policy.decide(stream, rate)) - wanted) <= max(2, slack * wanted)


@pytest.mark.parametrize("rate", RATES)
def test_the_rate_is_reached_within_a_tenth_over_streams_of_200_windows(
    make_stream: Make, rate: float
) -> None:
    streams = [make_stream(seconds=100.5, events=12, seed=seed)[0] for seed in range(6)]
    assert {len(s) for s in streams} == {200}
    reached = sum(len(TriggeredPolicy().decide(s, rate)) for s in streams)
    assert reached == pytest.approx(rate * 6 * 100.5, rel=0.1)


def test_following_window_by_window_is_what_decide_does(make_stream: Make) -> None:
    stream = make_stream(seconds=60, events=10)[0]
    follower = TriggeredPolicy().start(rate=0.5, window=stream.window, stride=stream.stride)
    live = [follower.push(float(t), e) for t, e in zip(stream.times, stream.embeddings, strict=True)]
    live = [d for d in [*live, follower.finish()] if d is not None]
    assert [(d.at, d.decided) for d in live] == [
        (d.at, d.decided) for d in TriggeredPolicy().decide(stream, 0.5)
    ]
    assert set(follower.status()) == {"score", "threshold"}


def test_two_streams_of_one_policy_do_not_disturb_each_other(make_stream: Make) -> None:
    stream = make_stream(seconds=60, events=10)[0]
    policy = TriggeredPolicy(trigger=DriftTrigger())
    first, second = (policy.start(rate=0.5, window=1.0, stride=0.5) for _ in range(2))
    for time, embedding in zip(stream.times, stream.embeddings, strict=True):
        a = first.push(float(time), embedding)
        b = second.push(float(time), embedding)
        assert (a is None) == (b is None)


def test_an_event_is_told_by_its_own_window_and_not_the_first_that_touches_it() -> None:
    stream = steady(60, [(20.7, 22.7)])
    touched, settled = (
        TriggeredPolicy(threshold=0.01, settle=seconds).decide(stream, 0.1)[0] for seconds in (0.0, 1.0)
    )
    assert (touched.at, touched.decided) == (20.5, 21.0)
    assert touched.embedding[2] < 0.6
    assert (settled.at, settled.decided) == (21.5, 22.0)
    assert settled.embedding[2] > 0.9


def test_the_median_latency_is_under_a_second(make_stream: Make) -> None:
    waits = [
        d.decided - d.at
        for seed in range(4)
        for d in TriggeredPolicy().decide(make_stream(events=30, seed=seed)[0], 0.2)
    ]
    assert min(waits) >= 0.5  # half of a window
    assert np.median(waits) < 1.0
    assert max(waits) <= 1.0 + 1e-9


def test_decodes_lie_at_least_the_gap_apart(make_stream: Make) -> None:
    decodes = TriggeredPolicy(min_gap=3.0).decide(make_stream(events=40)[0], 1.0)
    assert np.diff([d.decided for d in decodes]).min() >= 3.0 - 1e-9
    # it decodes as often as it may
    assert len(decodes) > 80


def test_a_constant_picture_is_told_only_after_the_longest_silence() -> None:
    stream = steady(600, [])
    assert TriggeredPolicy().decide(stream, 0.35) == []
    decodes = TriggeredPolicy(max_silence=60.0).decide(stream, 0.35)
    np.testing.assert_allclose([d.decided for d in decodes], np.arange(60, 601, 60))


def test_a_stream_that_ends_while_a_peak_is_waited_for_tells_it() -> None:
    stream = steady(30, [(29.0, 30.0)])
    decodes = TriggeredPolicy(threshold=0.2, settle=5.0).decide(stream, 0.1)
    assert [(d.at, d.decided) for d in decodes] == [(29.5, 30.0)]


def test_what_is_decoded_is_the_window_or_a_mean(make_stream: Make) -> None:
    stream = make_stream(seconds=60, events=10)[0]
    for embedding in ("current", "since_change", "since_decode"):
        after = 0.0
        for d in TriggeredPolicy(embedding=embedding, threshold=0.3).decide(stream, 0.3):
            seen = (stream.times > after - 0.5 + 1e-6) & (stream.times <= d.decided - 0.5)
            mean = stream.embeddings[seen].mean(axis=0)
            if embedding == "since_decode":
                np.testing.assert_allclose(d.embedding, mean / np.linalg.norm(mean), atol=1e-5)
            if embedding == "current":
                np.testing.assert_array_equal(d.embedding, stream.embeddings[stream.times == d.at][0])
            after = d.decided


def test_a_threshold_decides_alone_and_takes_no_account_of_the_rate(make_stream: Make) -> None:
    stream = make_stream(events=20)[0]
    policy = TriggeredPolicy(threshold=0.4)
    counts = {len(policy.decide(stream, rate)) for rate in (0.01, 1.0)}
    live = policy.start(rate=None, window=1.0, stride=0.5)
    pushed = [live.push(float(t), e) for t, e in zip(stream.times, stream.embeddings, strict=True)]
    assert counts == {sum(d is not None for d in [*pushed, live.finish()])}
    assert 10 <= counts.pop() <= 40


def test_what_is_kept_of_a_stream_does_not_grow(make_stream: Make) -> None:
    stream = make_stream(seconds=600, events=60)[0]
    follower = TriggeredPolicy(embedding="since_decode").start(rate=0.2, window=1.0, stride=0.5)
    sizes = []
    for turn in range(10):
        for time, embedding in zip(stream.times, stream.embeddings, strict=True):
            follower.push(600.0 * turn + float(time), embedding)
        sizes.append(len(pickle.dumps(follower)))
    # with or without a window that is waited for
    assert max(sizes) - min(sizes) < 1000


def lines_of(call: Callable[[], object]) -> int:
    """Lines of Python that a call runs: what it takes, without a clock."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> TraceFunction:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("trigger", names("triggers"))
def test_a_step_late_in_a_stream_runs_no_more_than_an_early_one(make_stream: Make, trigger: str) -> None:
    stream = make_stream(seconds=300, events=40)[0]
    policy = TriggeredPolicy(trigger=get("triggers", trigger)(), embedding="since_decode", max_silence=60.0)
    follower = policy.start(rate=0.2, window=1.0, stride=0.5)
    most = []
    for turn in range(8):
        pairs = zip(300 * turn + stream.times, stream.embeddings, strict=True)
        steps = [partial(follower.push, float(time), embedding) for time, embedding in pairs]
        if turn in (1, 7):
            most.append(max(lines_of(step) for step in steps))
        else:
            for step in steps:
                step()
    assert most[0] > 10
    assert most[1] <= most[0] + 5  # another branch


def test_what_is_not_a_number_is_refused_with_its_second() -> None:
    follower = TriggeredPolicy().start(rate=0.2, window=1.0, stride=0.5)
    with pytest.raises(UserError, match=r"the window at 7\.50 s holds NaN or infinity"):
        follower.push(7.5, np.array([np.nan, 1.0], dtype=np.float32))


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(RecipeError, match="needs a rate above 0 Hz, or a threshold"):
        TriggeredPolicy().start(rate=None, window=1.0, stride=0.5)
    with pytest.raises(RecipeError, match=r"max_silence \(1 s\) must be longer than min_gap \(2 s\)"):
        TriggeredPolicy(min_gap=2.0, max_silence=1.0)


@pytest.mark.parametrize("name", ["threshold", "min_gap", "settle"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_numbers_that_would_never_or_always_decode_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(RecipeError, match=rf"{name} is .*; expected a number of at least 0"):
        TriggeredPolicy(**{name: value})


def test_the_label_names_the_trigger_and_what_was_changed() -> None:
    assert TriggeredPolicy(trigger=get("triggers", "change_point")()).label == "online, change point"
    policy = TriggeredPolicy(trigger=VarianceTrigger(), threshold=0.2, settle=0.0, max_silence=9.0)
    assert policy.label == "online, variance, threshold 0.2, settle 0 s, silence 9 s"


def test_novelty_finds_more_of_the_events_than_uniform_at_the_rate_it_reaches(make_stream: Make) -> None:
    shares = {}
    for policy in (TriggeredPolicy(), UniformPolicy()):
        found, calls = [], 0
        for seed in range(4):
            stream, directions = make_stream(seed=seed)
            decodes = policy.decide(stream, 0.1)
            calls += len(decodes)
            rows, at = np.stack([d.embedding for d in decodes]), np.array([d.at for d in decodes])
            near = np.abs(np.array(stream.events)[:, None] - at) <= 2.0
            found += ((directions @ rows.T > 0.7) & near).any(axis=1).tolist()
        shares[policy.label] = np.mean(found)
        assert calls == pytest.approx(4 * 30, rel=0.1)
    assert shares["online, novelty"] > 2 * shares["uniform"]
