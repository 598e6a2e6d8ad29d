"""The camera of a stream: it stands still while the agent is well in sight, then jumps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jepa_vl_babyai.events import Place, look
from jepa_vl_babyai.scenes import Scene

MARGIN = 1  # cells between the agent and the border of what is seen, at least
HELD = (-2, 3)  # the frames around an event, from its step on, that any window with the event shows


def film(scene: Scene, view: int) -> tuple[NDArray[np.uint8], tuple[Place, ...]]:
    """Show a scene through a camera.

    Jumps follow from where the agent walks, not from what happens, so that they give no event away; none
    is in the frames around an event. Among the places from which a whole shot can be seen, the camera
    takes the one that is nearest to the events in it.

    Returns:
        What a `Clip` holds: uint8 ``[T, view, view, 3]``, and the agent's place in it.
    """
    states = scene.trace.states
    path = np.array([state.pos for state in states])  # [T, 2]
    steps = [event.step for event in scene.events]
    parts = []
    for first, last in shots(path, [(s + HELD[0], s + HELD[1]) for s in steps], view - 2 * MARGIN):
        shown = path[first:last]
        wanted = [path[s] for s in steps if first <= s < last] or [(shown.min(0) + shown.max(0)) / 2]
        # the agent's columns and rows in sight are MARGIN … view - 1 - MARGIN
        least, most = shown.max(0) - (view - 1 - MARGIN), shown.min(0) - MARGIN
        corner = np.clip(np.rint(np.mean(wanted, axis=0)) - view // 2, least, most).astype(int)
        x, y = (int(n) + view // 2 for n in corner)
        parts.append(look(states[first:last], (x, y), view))
    return np.concatenate([views for views, _ in parts]), tuple(p for _, agents in parts for p in agents)


def shots(path: NDArray[np.int_], held: Sequence[tuple[int, int]], reach: int) -> list[tuple[int, int]]:
    """Cut a path into as few stretches as the camera's reach allows.

    Args:
        path: The agent's column and row, ``[T, 2]``.
        held: First and last frames that should be in one shot.
        reach: Number of columns, and of rows, that the agent may be in during a shot.

    Returns:
        First frame of each shot, and the one after its last.
    """
    found = []
    first = 0
    while first < len(path):
        last = first + 1
        low = high = path[first]
        while last < len(path):
            low, high = np.minimum(low, path[last]), np.maximum(high, path[last])
            if (high - low >= reach).any():
                break
            last += 1
        within = [a for a, b in held if first < a < last <= b] if last < len(path) else []
        last = min([last, *within])
        found.append((first, last))
        first = last
    return found
