from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from jepa_vl_babyai.episodes import draw, episode_clips
from jepa_vl_babyai.events import NEIGHBOURS, Clip, Event, cut_clips, find_events, thing
from jepa_vl_babyai.settings import ALL_CLASSES, VERBS, Settings
from jepa_vl_babyai.world import State, Trace
from minigrid.core.actions import Actions
from minigrid.core.world_object import Ball, Box, Door, Key, WorldObj

EMPTY, WALL = (1, 0, 0), (2, 5, 0)


def room(agent: tuple[int, int], facing: int, things: dict[tuple[int, int], WorldObj]) -> State:
    """A room of 5 x 5 free cells with walls around."""
    cells = np.empty((7, 7, 3), dtype=np.uint8)
    cells[:] = WALL
    cells[1:-1, 1:-1] = EMPTY
    for cell, lying in things.items():
        cells[cell] = lying.encode()
    return State(cells, agent, facing)


def happened(before: State, action: Actions, after: State) -> Event | None:
    found = find_events(Trace([before, after], [action]))
    return found[0] if found else None


def test_picking_up_is_named_by_what_was_ahead() -> None:
    ball = {(3, 3): Ball("red")}
    event = happened(room((2, 3), 0, ball), Actions.pickup, room((2, 3), 0, {}))
    assert event == Event("pick up", ("red", "ball"), 0)


def test_picking_up_nothing_is_no_event() -> None:
    nothing = room((2, 3), 0, {})
    assert happened(nothing, Actions.pickup, nothing) is None


def test_dropping_beside_nothing_one_thing_and_two() -> None:
    def drop(others: dict[tuple[int, int], WorldObj]) -> Event | None:
        return happened(
            room((2, 3), 0, others), Actions.drop, room((2, 3), 0, {**others, (3, 3): Key("blue")})
        )

    assert drop({(4, 4): Box("red")}) == Event("drop", ("blue", "key"), 0)  # a corner is not beside
    one = drop({(3, 4): Box("red")})
    assert one == Event("put next to", ("blue", "key"), 0, beside=("red", "box"))
    two = drop({(3, 4): Box("red"), (4, 3): Ball("grey")})
    assert two is not None
    assert not two.sure
    door = drop({(3, 2): Door("red")})
    assert door is not None
    assert not door.sure


@pytest.mark.parametrize("opens", [True, False])
def test_doors_open_and_close(opens: bool) -> None:
    def state(is_open: bool) -> State:
        return room((2, 3), 0, {(3, 3): Door("green", is_open=is_open)})

    event = happened(state(not opens), Actions.toggle, state(opens))
    assert event == Event("open" if opens else "close", ("green", "door"), 0)


def walk(steps: list[tuple[tuple[int, int], int]], actions: list[Actions]) -> list[Event]:
    return find_events(Trace([room(*pose, {(5, 1): Ball("red")}) for pose in steps], actions))


def test_going_to_needs_a_walk_and_a_halt() -> None:
    steps = [((x, 1), 0) for x in (2, 3, 4, 4, 4)]
    forward, wait = Actions.forward, Actions.done
    assert walk(steps, [forward, forward, wait, wait]) == [Event("go to", ("red", "ball"), 2)]
    short = walk(steps[1:], [forward, wait, wait])
    assert [e.sure for e in short] == [False]  # one cell only
    turned = walk([((4, 1), 1), ((4, 1), 0), ((4, 1), 0), ((4, 1), 0)], [Actions.left, wait, wait])
    assert [e.sure for e in turned] == [False]  # it was there all the time


def test_clips_of_every_verb_are_found(clips: list[Clip]) -> None:
    verbs = Counter(clip.event.verb for clip in clips)
    assert set(verbs) == set(VERBS)
    assert {clip.event.event_class for clip in clips} <= set(ALL_CLASSES)


def seen(clip: Clip) -> tuple[str, tuple[str, str]]:
    """Tell the event from what is in sight alone, independently of how events are found."""
    for before, after in zip(clip.views[:-1], clip.views[1:], strict=True):
        changed = np.argwhere((before != after).any(axis=-1))
        if not len(changed):
            continue
        ((x, y),) = changed
        was, now = thing(before[x, y]), thing(after[x, y])
        if was and now:
            return ("open" if after[x, y, 2] == 0 else "close"), now
        if was:
            return "pick up", was
        assert now is not None
        inside = [
            (x + dx, y + dy) for dx, dy in NEIGHBOURS if min(x + dx, y + dy) >= 0 and max(x + dx, y + dy) < 8
        ]
        beside = [name for cell in inside if (name := thing(after[cell]))]
        return ("put next to" if beside else "drop"), now
    x, y, facing = clip.agents[-1]
    dx, dy = ((1, 0), (0, 1), (-1, 0), (0, -1))[facing]
    there = thing(clip.views[-1][x + dx, y + dy])
    assert there is not None
    return "go to", there


def test_what_is_said_to_happen_can_be_seen_and_nothing_else_happens(clips: list[Clip]) -> None:
    for clip in clips:
        assert seen(clip) == (clip.event.verb, clip.event.thing)
        changes = (clip.views[:-1] != clip.views[1:]).any(axis=-1).sum()
        assert changes == (clip.event.verb != "go to")


def test_a_turn_is_told_exactly_when_it_is_seen_right_before_the_event(clips: list[Clip]) -> None:
    for clip in clips:
        differs = (clip.views[:-1] != clip.views[1:]).any(axis=(1, 2, 3))
        at = int(np.argmax(differs)) if differs.any() else None
        if at is None:  # go to: the event is the first step of standing still
            at = next(t for t in range(3) if clip.agents[t] == clip.agents[t + 1])
        turn = (clip.agents[at][2] - clip.agents[at - 1][2]) % 4 if at else 0
        assert clip.turn == {0: "", 1: "right", 3: "left"}[turn]


def test_the_agent_stays_in_sight_and_the_event_moves_through_the_clip(clips: list[Clip]) -> None:
    after = Counter()
    for clip in clips:
        assert all(0 <= x < 8 and 0 <= y < 8 for x, y, _ in clip.agents)
        differs = (clip.views[:-1] != clip.views[1:]).any(axis=(1, 2, 3))
        if differs.any():
            after[3 - int(np.argmax(differs))] += 1
    assert set(after) == {1, 2}
    assert min(after.values()) > 0.3 * after.total()


def test_the_middle_frame_seldom_gives_the_verb_away() -> None:
    """A look-up table over what one frame shows ahead of the agent, fitted and tested on other episodes."""

    def ahead(clip: Clip) -> tuple[int, ...] | None:
        cells, (x, y, facing) = clip.views[2], clip.agents[2]
        dx, dy = ((1, 0), (0, 1), (-1, 0), (0, -1))[facing]
        if not (0 <= x + dx < 8 and 0 <= y + dy < 8):
            return None
        near = [(x + dx + i, y + dy + j) for i, j in NEIGHBOURS]
        things = sum(thing(cells[c]) is not None for c in near if min(c) >= 0 and max(c) < 8)
        return int(cells[x + dx, y + dy, 0]), int(cells[x + dx, y + dy, 2]), things

    table: dict[tuple[int, ...] | None, Counter[str]] = defaultdict(Counter)
    for number in range(60):
        for clip in episode_clips(Settings(), "train", number):
            table[ahead(clip)][clip.event.verb] += 1
    right = [
        clip.event.verb == (table[ahead(clip)].most_common(1) or [("", 0)])[0][0]
        for number in range(60, 90)
        for clip in episode_clips(Settings(), "train", number)
    ]
    assert sum(right) / len(right) < 0.65


@pytest.mark.parametrize(("frames", "view"), [(2, 5), (3, 8), (6, 9)])
def test_clips_of_other_sizes(traces: list[Trace], frames: int, view: int) -> None:
    settings = Settings(num_frames=frames, view=view)
    found = [c for trace in traces for c in cut_clips(trace, settings, np.random.default_rng(0))]
    assert found
    assert all(clip.views.shape == (frames, view, view, 3) for clip in found)
    assert draw(found[0].views, found[0].agents, 10).shape == (frames, 10 * view, 10 * view, 3)


def test_drawing_agrees_with_minigrids_own(clips: list[Clip]) -> None:
    from minigrid.core.grid import Grid

    for clip in clips[:10]:
        for t, frame in enumerate(draw(clip.views, clip.agents, 8)):
            grid, _ = Grid.decode(clip.views[t])
            x, y, facing = clip.agents[t]
            assert np.array_equal(frame, grid.render(8, (x, y), facing))
