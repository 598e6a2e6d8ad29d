"""The policies that see the whole stream, and the bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from jepa_vl.errors import RecipeError, UserError
from jepa_vl.registry import get
from jepa_vl.streaming.base import Decode, EmbeddingStream, Policy
from jepa_vl.streaming.policies.covering import CoveragePolicy
from jepa_vl.streaming.policies.online import TriggeredPolicy
from jepa_vl.streaming.policies.oracle import OraclePolicy
from jepa_vl.streaming.policies.random import RandomPolicy
from jepa_vl.streaming.policies.segmentation import tree_of
from jepa_vl.streaming.policies.selective import SelectivePolicy
from jepa_vl.streaming.policies.uniform import UniformPolicy

Make = Callable[..., tuple[EmbeddingStream, np.ndarray]]

POLICIES = [
    UniformPolicy(),
    UniformPolicy(pooled=True),
    SelectivePolicy(),
    SelectivePolicy(point="medoid"),
    SelectivePolicy(point="distinct", pooled=True),
    CoveragePolicy(),
    CoveragePolicy(pooled=True),
    RandomPolicy(),
    OraclePolicy(),
    TriggeredPolicy(),
]


def told(stream: EmbeddingStream, directions: np.ndarray, decodes: list[Decode]) -> float:
    """Mean cosine of each event with what is decoded nearest in time."""
    at = np.array([d.at for d in decodes])
    rows = np.stack([d.embedding for d in decodes])
    nearest = np.abs(np.array(stream.events)[:, None] - at).argmin(axis=1)
    return float((rows[nearest] * directions).sum(axis=1).mean())


@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: p.label)
@pytest.mark.parametrize("rate", [0.01, 0.2, 1.0, 2.0, 50.0])
def test_decodes_are_in_order_unit_and_made_when_their_windows_have_ended(
    make_stream: Make, policy: Policy, rate: float
) -> None:
    stream = make_stream(seconds=60, events=6)[0]
    decodes = policy.decide(stream, rate)
    assert [d.at for d in decodes] == sorted(d.at for d in decodes)
    for d in decodes:
        assert np.linalg.norm(d.embedding) == pytest.approx(1, abs=1e-5)
        assert d.start <= d.at <= d.end
        assert d.decided <= stream.duration
        assert d.decided >= d.at + stream.window / 2 - 1e-6
    if not isinstance(policy, OraclePolicy | TriggeredPolicy):
        assert len(decodes) == stream.number(rate)
        assert decodes[0].start == 0
        assert decodes[-1].end == pytest.approx(stream.duration)
        np.testing.assert_allclose([d.end for d in decodes[:-1]], [d.start for d in decodes[1:]])


@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: p.label)
def test_a_stream_of_one_window_and_one_of_nothing_but_itself_are_decided(
    make_stream: Make, policy: Policy
) -> None:
    stream = make_stream(seconds=20, events=2)[0]
    one = replace(
        stream, times=stream.times[:1], embeddings=stream.embeddings[:1], duration=1.0, events=(0.5,)
    )
    still = replace(stream, embeddings=np.repeat(stream.embeddings[:1], len(stream), axis=0))
    assert len(policy.decide(one, 0.5)) <= 1
    assert len(policy.decide(still, 0.5)) <= still.number(0.5)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: p.label)
def test_what_is_not_a_number_is_refused_by_every_policy(make_stream: Make, policy: Policy) -> None:
    stream = make_stream(seconds=20, events=2)[0]
    rows = stream.embeddings.copy()
    rows[3, 0] = np.inf
    with pytest.raises(UserError, match=r"stream 'synthetic-0'.*2\.00 s holds NaN or infinity"):
        policy.decide(replace(stream, embeddings=rows), 0.5)


@pytest.mark.parametrize("policy", [p for p in POLICIES if p.causal], ids=lambda p: p.label)
def test_a_causal_policy_decides_the_same_whatever_comes_later(make_stream: Make, policy: Policy) -> None:
    stream = make_stream(seconds=60, events=20)[0]
    rows = stream.embeddings.copy()
    rows[60:] = rows[60:][::-1]
    changed = replace(stream, embeddings=rows)
    known = float(stream.times[59]) + stream.window / 2
    before, after = (
        [(d.at, d.decided, d.embedding.tolist()) for d in policy.decide(s, 0.5) if d.decided <= known]
        for s in (stream, changed)
    )
    assert before
    assert before == after


@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: p.label)
def test_a_stream_that_is_joined_late_is_decided_as_if_it_began_at_nothing(
    make_stream: Make, policy: Policy
) -> None:
    stream, late = make_stream(seconds=60, events=6)[0], 86_400.0
    joined = replace(
        stream,
        times=stream.times + late,
        duration=stream.duration + late,
        events=tuple(second + late for second in stream.events),
    )
    for rate in (0.05, 0.3):
        before, after = policy.decide(stream, rate), policy.decide(joined, rate)
        moments = [np.array([[d.at, d.decided, d.start, d.end] for d in each]) for each in (before, after)]
        np.testing.assert_allclose(moments[1] - late, moments[0], atol=1e-6)
        for a, b in zip(before, after, strict=True):
            np.testing.assert_array_equal(a.embedding, b.embedding)


def test_labels_tell_settings_apart() -> None:
    assert len({p.label for p in POLICIES}) == len(POLICIES)


@pytest.mark.parametrize("name", ["uniform", "selective", "coverage", "online", "random", "oracle"])
def test_every_policy_has_its_name(name: str) -> None:
    assert get("policies", name)().label.split(",")[0] == name


def test_uniform_takes_the_window_nearest_to_the_middle_of_each_interval(make_stream: Make) -> None:
    stream = make_stream(seconds=60, events=6)[0]
    decodes = UniformPolicy().decide(stream, 0.1)  # 6 intervals of 10 s
    np.testing.assert_allclose([d.at for d in decodes], [5, 15, 25, 35, 45, 55])
    for d in decodes:
        np.testing.assert_array_equal(d.embedding, stream.embeddings[stream.times == d.at][0])


def test_pooled_uniform_averages_the_windows_of_its_interval(make_stream: Make) -> None:
    stream = make_stream(seconds=60, events=6)[0]
    third = UniformPolicy(pooled=True).decide(stream, 0.1)[2]
    mean = stream.embeddings[(stream.times >= 20 - 1e-6) & (stream.times < 30 - 1e-6)].mean(axis=0)
    np.testing.assert_allclose(third.embedding, mean / np.linalg.norm(mean), atol=1e-6)
    # its windows are centred at 20, 20.5 … 29.5
    assert (third.start, third.at, third.end) == (20, 24.75, 30)


def test_uniform_at_the_stride_decodes_every_window_once(make_stream: Make) -> None:
    stream = make_stream(seconds=30, events=3)[0]
    for pooled in (False, True):
        rows = np.stack([d.embedding for d in UniformPolicy(pooled=pooled).decide(stream, 2.0)])
        np.testing.assert_allclose(rows, stream.embeddings, atol=1e-6)


def test_selective_reads_the_middle_of_each_segment_and_pools_it(make_stream: Make) -> None:
    stream = make_stream(seconds=60, events=6)[0]
    plain, pooled = (SelectivePolicy(pooled=p).decide(stream, 0.2) for p in (False, True))
    for (start, stop), a, b in zip(tree_of(stream).segments(12), plain, pooled, strict=True):
        middle = (stream.times[start] + stream.times[stop - 1]) / 2
        assert abs(a.at - middle) <= stream.stride / 2
        assert a.at == b.at
        mean = stream.embeddings[start:stop].mean(axis=0)
        np.testing.assert_allclose(b.embedding, mean / np.linalg.norm(mean), atol=1e-6)


def test_medoid_and_distinct_read_the_window_they_name(make_stream: Make) -> None:
    stream = make_stream(seconds=60, events=6)[0]
    for point, best in (("medoid", np.argmax), ("distinct", np.argmin)):
        for (start, stop), d in zip(
            tree_of(stream).segments(6), SelectivePolicy(point=point).decide(stream, 0.1), strict=True
        ):
            rows = stream.embeddings[start:stop]
            mean = rows.mean(axis=0) if point == "medoid" else stream.embeddings.mean(axis=0)
            assert d.at == stream.times[start + int(best(rows @ mean))]


def test_random_is_the_same_for_a_seed_and_a_name_and_no_other(make_stream: Make) -> None:
    stream = make_stream(seconds=60, events=6)[0]
    times = [
        [d.at for d in RandomPolicy(seed=seed).decide(replace(stream, name=name), 0.3)]
        for seed, name in ((0, "a"), (0, "a"), (1, "a"), (0, "b"))
    ]
    assert times[0] == times[1]
    assert times[0] != times[2]
    assert times[0] != times[3]


def test_the_oracle_takes_every_annotation_or_as_many_as_the_rate_allows(make_stream: Make) -> None:
    stream = replace(make_stream(seconds=60, events=6)[0], events=(5.1, 5.2, 20.0, 30.4, 44.0, 55.0))
    assert [d.at for d in OraclePolicy().decide(stream, 1.0)] == [5.0, 20.0, 30.5, 44.0, 55.0]
    assert [d.at for d in OraclePolicy().decide(stream, 0.05)] == [5.0, 30.5, 55.0]
    assert OraclePolicy().decide(replace(stream, events=()), 1.0) == []


@pytest.mark.parametrize("numbers", [{"sharpness": -1.0}, {"sharpness": float("nan")}, {"seconds": 0.0}])
def test_coverage_refuses_weights_without_meaning(numbers: dict[str, float]) -> None:
    with pytest.raises(RecipeError, match="policy 'coverage': sharpness is"):
        CoveragePolicy(**numbers)


SCENES = {
    "sparse": {"events": 20},
    "dense": {"events": 80, "length": (2.0, 4.5)},
    "long events": {"events": 25, "length": (3.0, 15.0)},
}


@pytest.mark.parametrize("pooled", [False, True], ids=["plain", "pooled"])
@pytest.mark.parametrize("scene", SCENES)
def test_coverage_is_at_no_rate_behind_uniform_with_the_same_pooling(
    make_stream: Make, scene: str, pooled: bool
) -> None:
    made = [make_stream(seed=seed, **SCENES[scene]) for seed in range(4)]
    for rate in (0.01, 0.02, 0.05, 0.1, 0.2, 0.35):
        ours, theirs = (
            np.mean([told(s, directions, policy.decide(s, rate)) for s, directions in made])
            for policy in (CoveragePolicy(pooled=pooled), UniformPolicy(pooled=pooled))
        )
        assert ours > theirs - 0.02, rate


def test_coverage_finds_short_events_in_a_long_drifting_stretch_of_nothing(make_stream: Make) -> None:
    # twenty events, 0.067 a second: a fifth of the decodes that uniform needs
    made = [make_stream(seed=seed) for seed in range(4)]
    told_by = {
        p.label: np.mean([told(s, d, p.decide(s, 0.1)) for s, d in made])
        for p in (CoveragePolicy(seconds=10.0), SelectivePolicy(), UniformPolicy())
    }
    assert told_by["coverage, 10 s"] > told_by["selective"] + 0.15
    assert told_by["coverage, 10 s"] > told_by["uniform"] + 0.25
