from __future__ import annotations

import numpy as np
import pytest
from jepa_vl_babyai import world
from jepa_vl_babyai.settings import HELD_OUT
from jepa_vl_babyai.world import Trace, play
from minigrid.core.actions import Actions


def test_equal_seeds_play_equal_episodes_and_others_do_not() -> None:
    def content(trace: Trace) -> tuple[list[Actions], bytes]:
        return trace.actions, b"".join(state.cells.tobytes() for state in trace.states)

    assert content(play([1, 2])) == content(play([1, 2]))
    assert content(play([1, 2])) != content(play([1, 3]))


def test_minigrids_messages_stay_off_the_screen(capfd: pytest.CaptureFixture[str]) -> None:
    for number in range(10):
        play([3, number])
    assert capfd.readouterr() == ("", "")


def test_recorded_states_follow_the_rules_of_the_world(traces: list[Trace]) -> None:
    """Recomputes each step from the one before: moves change no cell, other actions at most the one ahead."""
    for trace in traces:
        for before, action, after in zip(trace.states[:-1], trace.actions, trace.states[1:], strict=True):
            changed = np.argwhere((before.cells != after.cells).any(axis=-1))
            if action in (Actions.pickup, Actions.drop, Actions.toggle):
                assert [tuple(int(n) for n in c) for c in changed] in ([], [before.front])
            else:
                assert len(changed) == 0
            turned = {Actions.left: -1, Actions.right: 1}.get(action, 0)
            assert after.facing == (before.facing + turned) % 4
            assert after.pos in ((before.pos, before.front) if action == Actions.forward else (before.pos,))


def test_the_bot_does_nearly_all_errands(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[bool] = []
    run = world.run

    def noted(*args: object) -> bool:
        done.append(run(*args))  # type: ignore[arg-type]
        return done[-1]

    monkeypatch.setattr(world, "run", noted)
    for number in range(30):
        play([5, number])
    assert sum(done) / len(done) > 0.97


def test_favoured_errands_come_about_more_often() -> None:
    from jepa_vl_babyai.events import find_events

    def share(favour: frozenset[tuple[str, str, str]]) -> float:
        found = [
            e.event_class in HELD_OUT for n in range(15) for e in find_events(play([9, n], favour=favour))
        ]
        return sum(found) / len(found)

    assert share(HELD_OUT) > 2 * share(frozenset())
