"""What worker processes do: play episodes, and draw and save the clips that were chosen."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from minigrid.core.grid import Grid
from minigrid.core.world_object import WorldObj
from numpy.typing import NDArray
from PIL import Image

from jepa_vl_babyai.events import Clip, Place, cut_clips
from jepa_vl_babyai.settings import SPLITS, Settings
from jepa_vl_babyai.world import play


def episode_clips(settings: Settings, split: str, number: int) -> list[Clip]:
    """Play episode ``number`` of ``split`` and return its clips; what comes out depends on nothing else."""
    seed = [settings.seed, SPLITS.index(split), number]
    favour = settings.classes(split) if split == "novel" else ()
    trace = play([*seed, 0], favour=favour)
    return list(cut_clips(trace, settings, np.random.default_rng([*seed, 1])))


def episodes_clips(settings: Settings, split: str, numbers: range) -> list[list[Clip]]:
    """Play several episodes."""
    return [episode_clips(settings, split, number) for number in numbers]


def draw(views: NDArray[np.uint8], agents: Sequence[Place], tile: int) -> NDArray[np.uint8]:
    """Draw what a `Clip` shows: uint8 ``[T, H, W, 3]``, ``tile`` pixels a cell."""
    frames = []
    for cells, (x, y, facing) in zip(views, agents, strict=True):
        rows = [
            [
                _tile(*(int(n) for n in cells[i, j]), facing if (i, j) == (x, y) else -1, tile)
                for i in range(cells.shape[0])
            ]
            for j in range(cells.shape[1])
        ]
        frames.append(np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0))
    return np.stack(frames)


@lru_cache(maxsize=4096)
def _tile(kind: int, colour: int, state: int, facing: int, tile: int) -> NDArray[np.uint8]:
    thing = WorldObj.decode(kind, colour, state)
    facing_or_none = None if facing < 0 else facing
    picture = Grid.render_tile(thing, agent_dir=facing_or_none, highlight=False, tile_size=tile)
    return np.asarray(picture).astype(np.uint8)


def save_clips(settings: Settings, clips: list[tuple[Path, Clip]]) -> int:
    """Draw clips and save each as a folder ``0.png`` …; return how many."""
    for folder, clip in clips:
        folder.mkdir(parents=True)
        for t, frame in enumerate(draw(clip.views, clip.agents, settings.tile)):
            Image.fromarray(frame).save(folder / f"{t}.png", compress_level=1)
    return len(clips)
