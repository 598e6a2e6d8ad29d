"""Stories of streams: what is told is what is seen, at its time."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from jepa_vl_babyai.camera import HELD, MARGIN, shots
from jepa_vl_babyai.captions import caption
from jepa_vl_babyai.events import NEIGHBOURS, thing
from jepa_vl_babyai.scenes import APART, Scene, paces, play_scene
from jepa_vl_babyai.settings import HELD_OUT, SPLITS, VERBS, Settings
from jepa_vl_babyai.stream_settings import FPS, FRAMES, STREAM_SPLITS, StreamSettings
from jepa_vl_babyai.streams import CUT, TURN, WAIT, WALK, Happening, Story, tell
from jepa_vl_babyai.world import play

from jepa_vl.errors import RecipeError

SETTINGS = StreamSettings()


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [
        play_scene(rng, paces(rng), steps=300) for rng in (np.random.default_rng([11, i]) for i in range(6))
    ]


@pytest.fixture(scope="module")
def stories() -> list[Story]:
    return [tell(SETTINGS, "train", number) for number in range(10)]


def every(stories: list[Story]) -> list[tuple[Story, Happening]]:
    return [(story, h) for story in stories for h in story.happenings]


def changes(story: Story, t: int) -> int:
    """How many cells in sight differ between frame t and the next, where the camera stands still."""
    return int((story.views[t] != story.views[t + 1]).any(axis=-1).sum())


def ahead(story: Story, t: int) -> tuple[int, int]:
    x, y, facing = story.agents[t]
    dx, dy = ((1, 0), (0, 1), (-1, 0), (0, -1))[facing]
    return x + dx, y + dy


def test_the_world_changes_between_the_two_middle_frames_of_an_events_window_and_nowhere_else(
    stories: list[Story],
) -> None:
    for story, happening in every(stories):
        middle = round(happening.second * FPS)  # the first frame after the event
        window = range(middle - FRAMES // 2, middle + FRAMES // 2)
        found = [changes(story, t) for t in window[:-1]]
        assert found == [0, happening.event.verb != "go to", 0]


def test_what_is_told_is_what_is_seen(stories: list[Story]) -> None:
    """Tells the event from the cells in sight, independently of how events are found."""
    for story, happening in every(stories):
        t, event = happening.event.step, happening.event
        cell = ahead(story, t)
        was, now = thing(story.views[t][cell]), thing(story.views[t + 1][cell])
        if event.verb == "go to":
            assert was == now == event.thing
            steps = [np.subtract(a[:2], b[:2]) for a, b in pairwise(story.agents[t - 3 : t + 3])]
            assert np.abs(steps[:3]).sum() >= 1
            assert not np.abs(steps[3:]).any()  # it stays
        elif event.verb in ("open", "close"):
            assert was == now == event.thing
            assert (story.views[t + 1][cell][2] == 0) == (event.verb == "open")
        elif event.verb == "pick up":
            assert (was, now) == (event.thing, None)
        else:
            assert (was, now) == (None, event.thing)
            size = SETTINGS.view
            near = [(cell[0] + dx, cell[1] + dy) for dx, dy in NEIGHBOURS]
            beside = [
                name
                for x, y in near
                if 0 <= x < size and 0 <= y < size and (name := thing(story.views[t + 1][x, y]))
            ]
            assert beside in ([event.beside] if event.beside else [], [])[: 1 + (not beside)]


def test_a_turn_is_told_exactly_when_the_window_shows_it_right_before_the_event(stories: list[Story]) -> None:
    for story, happening in every(stories):
        step = happening.event.step
        turn = (story.agents[step][2] - story.agents[step - 1][2]) % 4
        assert happening.turn == {0: "", 1: "right", 3: "left"}[turn]
        for first in happening.starts:
            shown = happening.clip(story, first)
            assert shown.views.shape == (FRAMES, 8, 8, 3)
            assert ("turn" in caption(shown, 0)) == (bool(turn) and first < step)


def test_every_change_in_sight_is_an_event_a_jump_or_a_cut(stories: list[Story]) -> None:
    for story in stories:
        told = {h.event.step for h in story.happenings}
        for t, move in enumerate(story.moves):
            if t in told or move == CUT:
                continue
            (x, y, _), (x1, y1, _) = story.agents[t : t + 2]
            jumped = abs(x - x1) + abs(y - y1) > 1 or (move != WALK and (x, y) != (x1, y1))
            assert not changes(story, t) or jumped or move == WALK


def test_windows_without_an_event_say_the_most_that_moves_in_them(stories: list[Story]) -> None:
    story = stories[0]
    quiet = dict(story.quiet())
    busy = {first for h in story.happenings for first in range(h.event.step - FRAMES + 2, h.event.step + 1)}
    assert set(quiet) | busy == set(range(len(story.agents) - FRAMES + 1))
    assert not set(quiet) & busy
    for first, move in quiet.items():
        if move == WAIT:
            assert len({*story.agents[first : first + FRAMES]}) == 1
            assert not any(changes(story, t) for t in range(first, first + FRAMES - 1))
        elif move == TURN:
            assert len({a[:2] for a in story.agents[first : first + FRAMES]}) == 1
    assert set(quiet.values()) == {WAIT, TURN, WALK, CUT}


def test_the_agent_is_well_in_sight_and_no_jump_is_near_an_event(stories: list[Story]) -> None:
    for story in stories:
        places = np.array([a[:2] for a in story.agents])
        assert places.min() >= MARGIN
        assert places.max() <= SETTINGS.view - 1 - MARGIN
        moved = np.abs(np.diff(places, axis=0)).sum(axis=1)
        for happening in story.happenings:
            step = happening.event.step
            assert moved[step + HELD[0] : step + HELD[1]].max() <= 1


def test_jumps_are_seldom_and_give_no_event_away(stories: list[Story]) -> None:
    """A jump is no nearer to an event than a step of the walk is, but for the frames that are kept free."""
    jumps, walks, seconds = [], [], 0.0
    for story in stories:
        places = np.array([a[:2] for a in story.agents])
        moved = np.abs(np.diff(places, axis=0)).sum(axis=1)
        steps = np.array([h.event.step for h in story.happenings])
        seconds += story.seconds
        for t, move in enumerate(story.moves):
            distance = np.abs(steps - t).min()
            if move == WALK and distance > 3:
                (jumps if moved[t] > 1 else walks).append(distance)
    assert len(jumps) < seconds / 4
    assert 0.5 < np.median(jumps) / np.median(walks) < 2


def test_shots_are_as_few_as_the_reach_allows_and_cut_no_held_frames() -> None:
    path = np.array([[x, 0] for x in range(10)])
    assert shots(path, [], 6) == [(0, 6), (6, 10)]
    assert shots(path, [(4, 7)], 6) == [(0, 4), (4, 10)]
    assert shots(path, [(6, 7), (0, 5)], 6) == [(0, 6), (6, 10)]
    assert shots(path, [(1, 9)], 6) == [(0, 1), (1, 7), (7, 10)]  # it cannot be helped
    assert shots(path[:3], [(1, 9)], 6) == [(0, 3)]


def test_events_of_a_scene_are_sure_apart_and_none_is_held_out(scenes: list[Scene]) -> None:
    from jepa_vl_babyai.events import find_events

    for scene in scenes:
        assert scene.events == find_events(scene.trace)
        assert all(event.sure for event in scene.events)
        assert min(np.diff([event.step for event in scene.events])) >= APART
        assert scene.events[0].step >= 2
        assert scene.events[-1].step + HELD[1] < len(scene.trace.states)


def test_every_verb_occurs_and_no_combination_that_is_held_out(stories: list[Story]) -> None:
    events = [h.event for _, h in every(stories)]
    assert {e.verb for e in events} == set(VERBS)
    named = {e.event_class for e in events} | {(e.verb, *e.beside) for e in events if e.beside}
    assert not named & HELD_OUT


def test_streams_are_busy_and_quiet_by_turns_and_one_event_in_six_seconds_on_average(
    stories: list[Story],
) -> None:
    seconds = sum(story.seconds for story in stories)
    assert all(SETTINGS.shortest - 1 <= story.seconds <= SETTINGS.longest + 25 for story in stories)
    events = sum(len(story.happenings) for story in stories)
    assert 0.12 < events / seconds < 0.24
    gaps = np.concatenate([np.diff([h.second for h in story.happenings]) for story in stories])
    assert np.quantile(gaps, 0.25) < 3.5
    assert gaps.max() > 20
    rates = [len(story.happenings) / story.seconds for story in stories]
    assert max(rates) > 2 * min(rates)
    moves = Counter(move for story in stories for move in story.moves)
    assert moves[WAIT] / moves.total() > 0.2
    assert moves[WALK] / moves.total() > 0.2


def test_a_stream_has_whole_strides(stories: list[Story]) -> None:
    for story in stories:
        assert len(story.agents) == len(story.views) == len(story.moves) + 1
        assert len(story.agents) % 2 == 0


def test_a_story_depends_on_its_seed_split_and_number_alone(stories: list[Story]) -> None:
    again = tell(SETTINGS, "train", 3)
    assert np.array_equal(again.views, stories[3].views)
    assert again.happenings == stories[3].happenings
    others = [tell(SETTINGS, "val", 3), tell(StreamSettings(seed=1), "train", 3), stories[4]]
    assert all(o.happenings != again.happenings for o in others)


def test_streams_and_clips_are_played_with_other_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[tuple[int, ...]] = []
    make = np.random.default_rng

    def noted(seed: list[int]) -> np.random.Generator:
        used.append(tuple(seed))
        return make(seed)

    monkeypatch.setattr(np.random, "default_rng", noted)
    for split in STREAM_SPLITS:
        tell(StreamSettings(shortest=10, longest=10), split, 0)
    assert len(set(used)) == len(STREAM_SPLITS)
    assert not {seed[1] for seed in used} & set(range(len(SPLITS)))
    assert Settings().seed == StreamSettings().seed
    play([0, 0, 0, 0])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"train_streams": 0}, "data.train_streams must be at least 1, found 0"),
        ({"val_streams": -1}, "data.val_streams must not be negative, found -1"),
        ({"view": 4}, "data.view must be at least 5, found 4"),
        ({"shortest": 1}, "data.shortest must be at least 10, found 1"),
        ({"shortest": 60, "longest": 30}, r"data.longest \(30 s\) must not be below data.shortest \(60 s\)"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(bad: dict[str, int], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        StreamSettings(**bad)
