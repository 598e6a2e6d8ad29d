"""Streams: scenes in several worlds, one after the other, seen through a camera; and all that happens."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jepa_vl_babyai.camera import film
from jepa_vl_babyai.events import Clip, Event, Place, turn_before
from jepa_vl_babyai.scenes import EDGE, Scene, paces, play_scene
from jepa_vl_babyai.settings import SPLITS
from jepa_vl_babyai.stream_settings import FPS, FRAMES, STREAM_SPLITS, StreamSettings

WAIT, TURN, WALK, CUT = "wait", "turn", "walk", "cut"
SCENE = (30.0, 90.0)  # seconds in one world


@dataclass(frozen=True)
class Happening:
    """An event of a stream.

    Attributes:
        event: What happens; its ``step`` counts from the beginning of the stream.
        turn: ``left`` or ``right`` where the agent turns right before it.
    """

    event: Event
    turn: str

    @property
    def second(self) -> float:
        """When it happens: the first frame after it appears then."""
        return (self.event.step + 1) / FPS

    @property
    def starts(self) -> range:
        """First frames of the windows that show it: frames before it and after it.

        Going to something is seen by the walk, so it may not begin with the halt.
        """
        step = self.event.step
        return range(step - FRAMES + 2, step + (self.event.verb != "go to"))

    def clip(self, story: Story, first: int) -> Clip:
        """Return the window from frame ``first`` on, which shows it."""
        turn = self.turn if self.event.step > first else ""
        shown = slice(first, first + FRAMES)
        return Clip(self.event, turn, story.views[shown], story.agents[shown])


@dataclass(frozen=True)
class Story:
    """A stream, not drawn yet.

    Attributes:
        views: uint8 ``[T, view, view, 3]``, the cells in sight, as MiniGrid encodes them.
        agents: The agent's place in sight, T times.
        moves: What the agent does between a frame and the next, T - 1 times: `WAIT`, `TURN`, `WALK`, or
            the scene changes (`CUT`).
        happenings: Every event, in order.
    """

    views: NDArray[np.uint8]
    agents: tuple[Place, ...]
    moves: tuple[str, ...]
    happenings: tuple[Happening, ...]

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.agents) / FPS

    def quiet(self) -> Iterator[tuple[int, str]]:
        """Yield the first frame of each window without an event, and the most that moves in it."""
        busy = {h.event.step for h in self.happenings}
        for first in range(len(self.agents) - FRAMES + 1):
            between = range(first, first + FRAMES - 1)
            if busy.isdisjoint(between):
                seen = {self.moves[t] for t in between}
                yield first, next(move for move in (CUT, WALK, TURN, WAIT) if move in seen)


def tell(settings: StreamSettings, split: str, number: int) -> Story:
    """Play stream ``number`` of ``split``; what comes out depends on nothing else."""
    place = len(SPLITS) + STREAM_SPLITS.index(split)  # no clip is played with such a seed
    rng = np.random.default_rng([settings.seed, place, number])
    wanted = round(rng.uniform(settings.shortest, settings.longest) * FPS)
    pace = paces(rng)
    scenes: list[Scene] = []
    while (left := wanted - sum(len(scene.trace.states) for scene in scenes)) > 4 * EDGE:
        steps = min(left - 2 * EDGE, round(rng.uniform(*SCENE) * FPS))
        scenes.append(play_scene(rng, pace, steps=steps))
    return _joined(scenes, settings.view)


def _joined(scenes: list[Scene], view: int) -> Story:
    views: list[NDArray[np.uint8]] = []
    agents: list[Place] = []
    moves: list[str] = []
    happenings: list[Happening] = []
    for scene in scenes:
        begun = len(agents)
        seen, places = film(scene, view)
        views.append(seen)
        agents += places
        moves += [*_moves(scene), CUT]
        for event in scene.events:
            moved = Event(event.verb, event.thing, begun + event.step, event.beside)
            happenings.append(Happening(moved, turn_before(scene.trace, event, event.step - 1)))
    if len(agents) % 2:  # whole strides
        views.append(views[-1][-1:])
        agents.append(agents[-1])
        moves[-1:] = [WAIT, CUT]
    return Story(np.concatenate(views), tuple(agents), tuple(moves[:-1]), tuple(happenings))


def _moves(scene: Scene) -> Iterator[str]:
    states = scene.trace.states
    for before, after in itertools.pairwise(states):
        yield WALK if before.pos != after.pos else TURN if before.facing != after.facing else WAIT
