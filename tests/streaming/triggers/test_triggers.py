from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest

from jepa_vl.errors import RecipeError
from jepa_vl.registry import get, names
from jepa_vl.streaming.base import EmbeddingStream
from jepa_vl.streaming.triggers.base import Trigger, distance
from jepa_vl.streaming.triggers.change_point import ChangePointTrigger
from jepa_vl.streaming.triggers.drift import DriftTrigger
from jepa_vl.streaming.triggers.novelty import NoveltyTrigger
from jepa_vl.streaming.triggers.variance import VarianceTrigger

Make = Callable[..., tuple[EmbeddingStream, np.ndarray]]
TRIGGERS = [NoveltyTrigger(), DriftTrigger(), VarianceTrigger(), ChangePointTrigger()]


def scores(trigger: Trigger, rows: np.ndarray) -> list[float]:
    trigger.reset()
    return [trigger.step(row) for row in rows]


def two_scenes(seconds: int = 20) -> np.ndarray:
    rows = np.eye(8, dtype=np.float32)[[0] * seconds + [1] * seconds]
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_all_are_registered() -> None:
    assert {type(t) for t in TRIGGERS} == {get("triggers", name) for name in names("triggers")}


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda t: type(t).__name__)
def test_a_score_does_not_depend_on_what_comes_later(make_stream: Make, trigger: Trigger) -> None:
    rows = make_stream(seconds=60, events=10)[0].embeddings
    assert scores(trigger, rows)[:50] == scores(trigger, np.concatenate([rows[:50], rows[:49:-1]]))[:50]


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda t: type(t).__name__)
def test_reset_forgets_everything(make_stream: Make, trigger: Trigger) -> None:
    rows = make_stream(seconds=30, events=5)[0].embeddings
    first = scores(trigger, rows)
    trigger.decoded(rows[-1])
    assert scores(trigger, rows) == first


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda t: type(t).__name__)
def test_the_embeddings_that_are_given_are_left_as_they_are(make_stream: Make, trigger: Trigger) -> None:
    rows = make_stream(seconds=30, events=5)[0].embeddings
    before = rows.copy()
    scores(trigger, rows)
    trigger.decoded(rows[3])
    scores(trigger, rows)
    np.testing.assert_array_equal(rows, before)


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda t: type(t).__name__)
def test_a_constant_picture_scores_nothing_and_a_change_at_once(trigger: Trigger) -> None:
    found = scores(trigger, two_scenes())
    assert max(found[:20]) < 1e-6
    assert found[22] > 0.2


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda t: type(t).__name__)
def test_the_state_does_not_grow(trigger: Trigger) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(1000, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    trigger.reset()
    sizes = []
    for turn in range(100):  # 10^5 windows
        for row in rows:
            trigger.step(row)
        trigger.decoded(rows[turn])
        sizes.append(len(pickle.dumps(trigger)))
    assert max(sizes) - min(sizes) < 50


def test_variance_is_that_of_the_last_windows() -> None:
    rows = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    found = scores(VarianceTrigger(windows=3, smoothing=1.0), rows)
    assert found[-1] == pytest.approx(np.var(rows[-3:], axis=0).sum(), rel=1e-5)


def test_drift_is_the_distance_from_what_was_decoded() -> None:
    rows = two_scenes()
    trigger = DriftTrigger(smoothing=1.0)
    assert scores(trigger, rows)[-1] == pytest.approx(1.0)
    trigger.decoded(rows[-1])
    assert trigger.step(rows[-1]) == pytest.approx(0.0, abs=1e-6)
    assert trigger.step(rows[0]) == pytest.approx(1.0)


def test_the_return_to_the_usual_is_drift_but_no_novelty() -> None:
    usual, event = np.eye(4, dtype=np.float32)[:2]
    drift, novelty = DriftTrigger(smoothing=1.0), NoveltyTrigger(smoothing=1.0)
    for trigger in (drift, novelty):
        scores(trigger, np.stack([usual] * 40 + [event] * 2))
        trigger.decoded(event)
    assert drift.step(usual) > 0.9
    assert novelty.step(usual) < 0.15


def test_a_lasting_event_is_new_once() -> None:
    usual, event = np.eye(4, dtype=np.float32)[:2]
    trigger = NoveltyTrigger(smoothing=1.0)
    assert scores(trigger, np.stack([usual] * 40 + [event]))[-1] > 0.9
    trigger.decoded(event)
    assert trigger.step(event) < 0.01


def test_a_change_that_lasts_adds_up_beyond_one_window_of_noise() -> None:
    rng = np.random.default_rng(0)
    noise = 0.05 * rng.normal(size=(60, 8)).astype(np.float32)
    spike, step = (np.eye(8, dtype=np.float32)[[0] * 40 + [1] * k + [0] * (20 - k)] + noise for k in (1, 20))
    # the same change of one window's height
    assert max(scores(ChangePointTrigger(), step)) > 1.5 * max(scores(ChangePointTrigger(), spike))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DriftTrigger(smoothing=0.0), "smoothing is the newest embedding's weight"),
        (lambda: VarianceTrigger(windows=1), "windows must be 2 or more"),
        (lambda: NoveltyTrigger(background=0), "background is a number of windows"),
        (lambda: ChangePointTrigger(fading=2.0), "fading from 0 to 1"),
    ],
)
def test_settings_without_meaning_are_refused(make: Callable[[], Trigger], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        make()


def test_distance_is_one_less_the_cosine_and_nothing_without_a_direction() -> None:
    a, b = np.array([2.0, 0.0], np.float32), np.array([1.0, 1.0], np.float32)
    assert distance(a, b) == pytest.approx(1 - np.sqrt(0.5))
    assert distance(a, np.zeros(2, np.float32)) == 0.0
