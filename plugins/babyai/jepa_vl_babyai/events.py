"""What happened in an episode, read off its exact states: events, and the clips around them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from minigrid.core.actions import Actions
from minigrid.core.constants import IDX_TO_COLOR, IDX_TO_OBJECT
from numpy.typing import NDArray

from jepa_vl_babyai.settings import PORTABLE, EventClass, Settings
from jepa_vl_babyai.world import State, Trace

Thing = tuple[str, str]  # colour, kind
Place = tuple[int, int, int]  # column, row and direction of the agent in sight
MOVES = (Actions.left, Actions.right, Actions.forward, Actions.done)
NEIGHBOURS = ((1, 0), (0, 1), (-1, 0), (0, -1))


def thing(code: NDArray[np.uint8]) -> Thing | None:
    """Name what lies in a cell; None for nothing and for a wall."""
    kind = IDX_TO_OBJECT[int(code[0])]
    return (IDX_TO_COLOR[int(code[1])], kind) if kind in (*PORTABLE, "door") else None


@dataclass(frozen=True)
class Event:
    """Something the agent does, at action ``step`` of its episode.

    Attributes:
        verb: A verb of `settings.VERBS`.
        thing: Colour and kind of what it is done to.
        step: It is done by ``actions[step]``; ``go to`` by the first step of standing still.
        beside: What the thing was put next to.
        sure: False where two names would fit; such an event is never shown.
    """

    verb: str
    thing: Thing
    step: int
    beside: Thing | None = None
    sure: bool = True

    @property
    def event_class(self) -> EventClass:
        """The triplet that split `novel` is about."""
        return self.verb, *self.thing


def find_events(trace: Trace, start: int = 0) -> list[Event]:
    """Return every event of an episode, in order, from action ``start`` on."""
    found = (_event(trace, step) for step in range(start, len(trace.actions)))
    return [event for event in found if event is not None]


def _event(trace: Trace, step: int) -> Event | None:
    before, after = trace.states[step], trace.states[step + 1]
    action, front = trace.actions[step], before.front
    was, now = before.cells[front], after.cells[front]
    changed = bool((was != now).any())
    if action == Actions.pickup and changed:
        return Event("pick up", _named(was), step)
    if action == Actions.toggle and changed:
        return Event("open" if now[2] == 0 else "close", _named(was), step)
    if action == Actions.drop and changed:
        beside = [t for dx, dy in NEIGHBOURS if (t := thing(after.cells[front[0] + dx, front[1] + dy]))]
        if not beside:
            return Event("drop", _named(now), step)
        sure = len(beside) == 1 and beside[0][1] in PORTABLE
        return Event("put next to", _named(now), step, beside=beside[0], sure=sure)
    target = thing(was)
    if action == Actions.done and target is not None and _arrived(trace, step):
        return Event("go to", target, step, sure=_approached(trace, step))
    return None


def _named(code: NDArray[np.uint8]) -> Thing:
    name = thing(code)
    assert name is not None
    return name


def _arrived(trace: Trace, step: int) -> bool:
    """Whether the agent faces this cell since the last action only."""
    return step > 0 and trace.actions[step - 1] in MOVES[:3] and _pose(trace, step) != _pose(trace, step - 1)


def _pose(trace: Trace, step: int) -> tuple[tuple[int, int], int]:
    return trace.states[step].pos, trace.states[step].facing


def _approached(trace: Trace, step: int) -> bool:
    """Whether it walked two cells or more on its last four steps, and then stays for two."""
    (x0, y0), (x, y) = trace.states[max(step - 4, 0)].pos, trace.states[step].pos
    stays = all(a == Actions.done for a in trace.actions[step : step + 2])
    return abs(x - x0) + abs(y - y0) >= 2 and stays


@dataclass(frozen=True)
class Clip:
    """A few consecutive states with exactly one event in them, seen through a camera that stands still.

    Attributes:
        event: What happens.
        turn: ``left`` or ``right`` where the agent turns right before the event, in sight; else empty.
        views: uint8 ``[T, view, view, 3]`` (time, column, row), the cells in sight, as MiniGrid encodes them.
        agents: Column, row and direction of the agent in sight at each of the T steps.
    """

    event: Event
    turn: str
    views: NDArray[np.uint8]
    agents: tuple[Place, ...]

    def things(self) -> list[Thing]:
        """What lies in sight in the first frame, doors included."""
        return [name for column in self.views[0] for code in column if (name := thing(code))]


def cut_clips(trace: Trace, settings: Settings, rng: np.random.Generator) -> Iterator[Clip]:
    """Yield a clip for every event that can be shown by itself.

    Frames are one step apart. How many of them come after the event varies, so that the middle frame
    shows the world as often before it as after it and gives no verb away.
    """
    events = find_events(trace)
    steps = {event.step for event in events}
    for event in events:
        after = 1 + int(rng.integers(max(settings.num_frames // 2, 1)))
        last = event.step + after
        first = last - settings.num_frames + 1
        if not event.sure or first < 0 or last > len(trace.actions):
            continue
        others = set(range(first, last)) - {event.step}
        if others & steps or any(trace.actions[t] not in MOVES for t in others):
            continue
        states = trace.states[first : last + 1]
        views, agents = look(states, trace.states[event.step].pos, settings.view)
        if not all(0 <= x < settings.view and 0 <= y < settings.view for x, y, _ in agents):
            continue
        yield Clip(event, turn_before(trace, event, first), views, agents)


def turn_before(trace: Trace, event: Event, first: int) -> str:
    """Say which way the agent turns right before an event, if frames from ``first`` on show that."""
    turning = {Actions.left: "left", Actions.right: "right"}
    return turning.get(trace.actions[event.step - 1], "") if event.step > first else ""


WALL = (2, 5, 0)  # MiniGrid's code of a grey wall


def look(
    states: list[State], centre: tuple[int, int], view: int
) -> tuple[NDArray[np.uint8], tuple[Place, ...]]:
    """Cut ``view`` x ``view`` cells around ``centre``; there is nothing but wall outside the world.

    Returns:
        What `Clip` holds: the views, and the agent's place in them.
    """
    left, top = centre[0] - view // 2, centre[1] - view // 2
    views = np.empty((len(states), view, view, 3), dtype=np.uint8)
    views[:] = WALL
    width, height, _ = states[0].cells.shape
    x0, x1 = max(left, 0), min(left + view, width)
    y0, y1 = max(top, 0), min(top + view, height)
    for shown, state in zip(views, states, strict=True):
        shown[x0 - left : x1 - left, y0 - top : y1 - top] = state.cells[x0:x1, y0:y1]
    return views, tuple((s.pos[0] - left, s.pos[1] - top, s.facing) for s in states)
