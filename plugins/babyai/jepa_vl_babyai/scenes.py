"""Scenes: minutes in one world, errands with pauses between them, in which every event can be told."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from minigrid.core.actions import Actions

from jepa_vl_babyai.events import Event, find_events
from jepa_vl_babyai.settings import HELD_OUT
from jepa_vl_babyai.stream_settings import FPS
from jepa_vl_babyai.world import (
    Bot,
    Errand,
    Recorder,
    Trace,
    errand_weight,
    new_rooms,
    possible_errands,
    run,
)

APART = 6  # steps between two events at least: no window shows both
EDGE = 4  # steps before the first event and after the last one
REST = 2  # steps of waiting after whatever changes a thing
TRIES = 8  # errands in a row that come to nothing before the scene ends
PAUSE = (1.0, 20.0)  # seconds of an idle or a wandering stretch


@dataclass(frozen=True)
class Scene:
    """What happens in one world, and every event in it: all sure, none held out, `APART` steps apart."""

    trace: Trace
    events: list[Event]


def paces(rng: np.random.Generator) -> Iterator[float]:
    """Yield the seconds from the beginning of each errand to that of the next, without end.

    A stream is busier or quieter than others, and within it stretches of 15 to 45 seconds differ too.
    """
    usual = rng.uniform(np.log(3), np.log(22))
    while True:
        stretch = float(np.clip(np.exp(rng.normal(usual, 0.7)), 1, 30))
        left = rng.uniform(15, 45)
        while left > 0:
            pace = stretch * rng.uniform(0.6, 1.4)
            left -= max(pace, 2.0)
            yield pace


def play_scene(rng: np.random.Generator, pace: Iterator[float], *, steps: int) -> Scene:
    """Play in a new world for ``steps`` steps, and as many more as the last errand takes.

    An errand that brings about what must not be shown is undone, and another one is done. A world in which
    that happens too often is left early.
    """
    recorder = Recorder(new_rooms(rng))
    recorder.wait(EDGE)
    events: list[Event] = []
    failed = 0
    while len(recorder.actions) < steps and failed < TRIES:
        begun, before = len(recorder.actions), copy.deepcopy(recorder.rooms)
        found = _do(_choose(recorder, rng), recorder)
        if found is None or not _fit([*events[-1:], *found]):
            recorder.go_back(before, begun)
            failed += 1
            continue
        events += found
        failed = 0
        due = begun + round(next(pace) * FPS)
        _pause(recorder, rng, min(due, steps))
    recorder.wait(EDGE)
    return Scene(Trace(recorder.states, recorder.actions), events)


def _choose(recorder: Recorder, rng: np.random.Generator) -> Errand:
    errands = [e for e in possible_errands(recorder.rooms, rng) if e.event not in HELD_OUT]
    weights = np.array([errand_weight(e.event, errands) for e in errands])
    return errands[rng.choice(len(errands), p=weights / weights.sum())]


def _do(errand: Errand, recorder: Recorder) -> list[Event] | None:
    """Do an errand and return all that happens; None when the bot gives up."""
    begun = len(recorder.actions)
    if not run(Bot(recorder.rooms, errand.plan), recorder, rest=REST):
        return None
    if errand.event[0] == "go to":
        recorder.wait(2)  # it stays there
    return find_events(Trace(recorder.states, recorder.actions), begun)


def _fit(events: list[Event]) -> bool:
    """Whether events can all be told, and are far enough apart."""
    gaps = np.diff([event.step for event in events])
    return all(map(_can_be_told, events)) and bool((gaps >= APART).all())


def _can_be_told(event: Event) -> bool:
    aside = event.beside is not None and (event.verb, *event.beside) in HELD_OUT
    return event.sure and event.event_class not in HELD_OUT and not aside


def _pause(recorder: Recorder, rng: np.random.Generator, due: int) -> None:
    """Stand and wander by turns until step ``due``."""
    least, most = (round(seconds * FPS) for seconds in PAUSE)
    while (left := due - len(recorder.actions)) >= least:
        steps = min(left, int(rng.integers(least, most + 1)))
        begun, before = len(recorder.actions), copy.deepcopy(recorder.rooms)
        if rng.random() < 0.5:
            recorder.wait(steps)
        else:
            _wander(recorder, rng, steps)
        recorder.wait(1)  # whether it halts before a thing, which is an event, is seen now
        if find_events(Trace(recorder.states, recorder.actions), begun):
            recorder.go_back(before, begun)
            recorder.wait(steps)


def _wander(recorder: Recorder, rng: np.random.Generator, steps: int) -> None:
    """Walk about in a room, and halt where nothing lies ahead."""
    side: Actions | None = None
    for step in range(2 * steps):
        ahead = recorder.rooms.grid.get(*(int(n) for n in recorder.rooms.front_pos))
        if step >= steps and (ahead is None or ahead.type == "wall"):
            return
        if ahead is None and rng.random() < 0.8:
            recorder.act(Actions.forward)
            side = None
        else:  # on to the same side until it walks again
            side = side or (Actions.left if rng.random() < 0.5 else Actions.right)
            recorder.act(side)
