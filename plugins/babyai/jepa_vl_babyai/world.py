"""Episodes: BabyAI's bot does one random errand after another in a world of two to four rooms."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jepa_vl_babyai.settings import COLOURS, PORTABLE, EventClass

# pygame, which minigrid imports, greets on the screen
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

from minigrid.core.actions import Actions
from minigrid.core.world_object import Door, WorldObj
from minigrid.envs.babyai.core.roomgrid_level import RoomGridLevel
from minigrid.envs.babyai.core.verifier import GoToInstr, ObjDesc
from minigrid.utils.baby_ai_bot import (
    BabyAIBot,
    CloseSubgoal,
    DropSubgoal,
    GoNextToSubgoal,
    OpenSubgoal,
    PickupSubgoal,
    Subgoal,
)

Plan = Sequence[tuple[type[Subgoal], Any, str | None]]  # subgoal, what it is about, why

DEEDS = (Actions.pickup, Actions.drop, Actions.toggle)
ERRANDS = 10  # an episode's number of errands
PATIENCE = 60  # steps an errand may take
SHAPES = ((1, 2, 6), (2, 1, 6), (1, 2, 7), (2, 1, 7), (2, 2, 5), (2, 2, 6))  # rows, columns, room size


@dataclass(frozen=True)
class State:
    """The world between two actions.

    Attributes:
        cells: uint8 ``[width, height, 3]``, MiniGrid's encoding: type, colour and state of each cell.
        pos: The agent's column and row.
        facing: 0 right, 1 down, 2 left, 3 up.
    """

    cells: NDArray[np.uint8]
    pos: tuple[int, int]
    facing: int

    @property
    def front(self) -> tuple[int, int]:
        """The cell the agent faces."""
        dx, dy = ((1, 0), (0, 1), (-1, 0), (0, -1))[self.facing]
        return self.pos[0] + dx, self.pos[1] + dy


@dataclass(frozen=True)
class Trace:
    """An episode: ``states[t]`` → ``actions[t]`` → ``states[t + 1]``. `Actions.done` is waiting."""

    states: list[State]
    actions: list[Actions]


class Rooms(RoomGridLevel):
    """Rooms joined by closed doors, with balls, boxes and keys; often several of a kind."""

    def __init__(self, *, rows: int, columns: int, room_size: int, objects: int) -> None:
        self.objects = objects
        self.things: list[WorldObj] = []
        super().__init__(num_rows=rows, num_cols=columns, room_size=room_size, max_steps=10**9)

    def gen_mission(self) -> None:
        """Place everything. Errands are given one by one later; this first one only satisfies BabyAI."""
        # some kinds are rare in this world and some frequent, so that counts vary
        weights = [self._rand_float(0.1, 1.0) for _ in PORTABLE]
        self.connect_all()
        self.things = []
        # a third of a room at most: BabyAI looks for a place for the agent until it finds one
        places = [(i, j) for i in range(self.num_cols) for j in range(self.num_rows)]
        places *= (self.room_size - 2) ** 2 // 3
        for room in self._rand_subset(places, min(self.objects, len(places))):
            kind = PORTABLE[self._weighted(weights)]
            self.things.append(self.add_object(*room, kind=kind, color=self._rand_elem(COLOURS))[0])
        self.place_agent()
        self.check_objs_reachable()
        first = self.things[0]
        self.instrs = GoToInstr(ObjDesc(first.type, first.color))

    def _weighted(self, weights: list[float]) -> int:
        point = self._rand_float(0, sum(weights))
        return int(np.searchsorted(np.cumsum(weights), point))

    def gen_obs(self) -> dict[str, Any]:
        """Return nothing: clips show the world from above, so the agent's own view is not computed."""
        return {}

    @property
    def doors(self) -> list[Door]:
        """Every door, in a fixed order."""
        return [cell for cell in self.grid.grid if cell is not None and cell.type == "door"]


class Bot(BabyAIBot):
    """BabyAI's bot with a map: it is told subgoals, the last one first, and never has to explore."""

    def __init__(self, rooms: Rooms, plan: Plan) -> None:
        super().__init__(rooms)
        self.vis_mask[:] = True
        self.stack = [kind(self, datum, reason) for kind, datum, reason in reversed(plan)]

    def _process_instr(self, instr: Any) -> None:
        """Plan nothing from the mission; the plan is given."""

    def _process_obs(self) -> None:
        """See nothing new; everything is known."""


class Recorder:
    """Acts in the world and keeps every state.

    Attributes:
        rooms: The world.
        states: What it was like, the latest last.
        actions: What was done, one less.
    """

    def __init__(self, rooms: Rooms) -> None:
        self.rooms = rooms
        self.cells: NDArray[np.uint8] = rooms.grid.encode()
        self.states = [self._state()]
        self.actions: list[Actions] = []

    def _state(self) -> State:
        x, y = self.rooms.agent_pos
        return State(self.cells.copy(), (int(x), int(y)), int(self.rooms.agent_dir))

    def act(self, action: Actions) -> None:
        """Do something."""
        x, y = self.rooms.front_pos
        self.rooms.step(action)
        if action in DEEDS:  # nothing else changes a cell
            cell = self.rooms.grid.get(int(x), int(y))
            self.cells[int(x), int(y)] = (1, 0, 0) if cell is None else cell.encode()
            if action == Actions.drop and cell is not None:
                cell.cur_pos = (int(x), int(y))  # minigrid leaves an array, which the bot cannot compare
        self.states.append(self._state())
        self.actions.append(action)

    def wait(self, steps: int) -> None:
        """Do nothing for a while."""
        for _ in range(steps):
            self.act(Actions.done)

    def go_back(self, rooms: Rooms, steps: int) -> None:
        """Forget what was done after the first ``steps`` actions, at which the world was ``rooms``."""
        self.rooms = rooms
        del self.states[steps + 1 :], self.actions[steps:]
        self.cells = self.states[-1].cells.copy()


@dataclass(frozen=True)
class Errand:
    """Something to do: the event that it is about, and how the bot brings it about."""

    event: EventClass
    plan: Plan


def new_rooms(rng: np.random.Generator) -> Rooms:
    """Make a world."""
    rows, columns, size = SHAPES[rng.integers(len(SHAPES))]
    rooms = Rooms(rows=rows, columns=columns, room_size=size, objects=int(rng.integers(5, 13)))
    with contextlib.redirect_stdout(io.StringIO()):  # minigrid prints "Sampling rejected: …"
        rooms.reset(seed=int(rng.integers(2**31)))
    return rooms


def play(seed: list[int], *, favour: Collection[EventClass] = ()) -> Trace:
    """Play one episode.

    Args:
        seed: Numbers that make the episode what it is.
        favour: Event classes to bring about wherever the world allows it.
    """
    rng = np.random.default_rng(seed)
    rooms = new_rooms(rng)
    recorder = Recorder(rooms)
    for _ in range(ERRANDS):
        errands = list(possible_errands(rooms, rng))
        weights = np.array([errand_weight(e.event, errands, favour) for e in errands])
        errand = errands[rng.choice(len(errands), p=weights / weights.sum())]
        if not run(Bot(rooms, errand.plan), recorder):
            break
        waits = 2 if errand.event[0] == "go to" else int(rng.choice([0, 1, 2], p=[0.6, 0.2, 0.2]))
        recorder.wait(waits)
    recorder.wait(2)
    return Trace(recorder.states, recorder.actions)


def run(bot: Bot, recorder: Recorder, *, rest: int = 0) -> bool:
    """Let the bot do its plan; False when it gives up.

    Args:
        bot: Has a plan.
        recorder: Acts.
        rest: Steps of waiting after anything that changes a thing.
    """
    for _ in range(PATIENCE):
        try:
            action = bot.replan()
        except (AssertionError, AttributeError, IndexError, TypeError):
            return False  # its corner cases: boxed in, or nowhere to put a blocker down
        if action == Actions.done:
            return True
        recorder.act(action)
        if action in DEEDS:
            recorder.wait(rest)
    return False


_VERB_WEIGHT = {"go to": 0.8, "pick up": 1.6, "drop": 1.6, "put next to": 2.4, "open": 0.25, "close": 0.4}


def errand_weight(event: EventClass, errands: list[Errand], favour: Collection[EventClass] = ()) -> float:
    """Weigh verbs as in `_VERB_WEIGHT` whatever the number of things each can be done to."""
    same = sum(e.event[0] == event[0] for e in errands)
    return _VERB_WEIGHT[event[0]] / same * (30.0 if event in favour else 1.0)


def possible_errands(rooms: Rooms, rng: np.random.Generator) -> Iterator[Errand]:
    """Yield the errands that make sense now."""
    held = rooms.carrying
    lying = [thing for thing in rooms.things if thing is not held]
    if held is not None:
        name = held.color, held.type
        if free := _free_cells(rooms):
            cell = free[rng.integers(len(free))]
            yield Errand(("drop", *name), [(GoNextToSubgoal, cell, None), (DropSubgoal, None, None)])
        for thing in lying:
            near = [(GoNextToSubgoal, thing, "PutNext"), (DropSubgoal, None, None)]
            yield Errand(("put next to", *name), near)
    for thing in [*lying, *rooms.doors]:
        there = [(GoNextToSubgoal, thing, None)]
        yield Errand(("go to", thing.color, thing.type), there)
        if thing.type == "door":
            subgoal = CloseSubgoal if thing.is_open else OpenSubgoal
            verb = "close" if thing.is_open else "open"
            yield Errand((verb, thing.color, "door"), [*there, (subgoal, None, None)])
        elif held is None:
            yield Errand(("pick up", thing.color, thing.type), [*there, (PickupSubgoal, None, None)])


def _free_cells(rooms: Rooms) -> list[tuple[int, int]]:
    """Cells in which a thing would lie beside nothing, and block no door."""
    grid = rooms.grid
    return [
        (x, y)
        for x in range(1, grid.width - 1)
        for y in range(1, grid.height - 1)
        if grid.get(x, y) is None
        and (x, y) != tuple(rooms.agent_pos)
        and all(
            (cell := grid.get(x + dx, y + dy)) is None or cell.type == "wall"
            for dx, dy in ((1, 0), (0, 1), (-1, 0), (0, -1))
        )
    ]
