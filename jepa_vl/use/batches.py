"""Videos as a user has them → the batches that an objective is asked about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from jepa_vl.data.progress import track
from jepa_vl.errors import UserError
from jepa_vl.objectives.base import Objective
from jepa_vl.sample import WINDOW, Batch, Item, Sample
from jepa_vl.use.source import Video, describe, read_frames
from jepa_vl.vision.base import Preprocessing


def preprocessing_of(objective: Objective) -> Preprocessing:
    """Return how the objective's encoder wants its frames.

    Raises:
        UserError: The objective reads texts alone.
    """
    encoder = objective.vision_encoder
    if encoder is None:
        raise UserError(f"{type(objective).__name__} reads texts alone, it sees no video")
    return encoder.preprocessing


def read_batches(
    objective: Objective, videos: Sequence[Video], query: str, *, size: int, progress: bool = False
) -> Iterator[Batch]:
    """Read videos, and yield batches of up to ``size`` of them with a query, on the objective's device.

    Raises:
        UserError: A video cannot be read, or the objective sees none.
    """
    preprocessing = preprocessing_of(objective)
    starts: Any = range(0, len(videos), size)
    if progress:
        starts = track(starts, total=len(starts), what=f"Reading videos ({size} a step)")
    for start in starts:
        some = videos[start : start + size]
        frames = [read_frames(video, preprocessing) for video in some]
        yield collate(objective, frames, [describe(v, i) for i, v in enumerate(some, start)], query)


def collate(objective: Objective, frames: Sequence[Tensor], names: Sequence[str], query: str) -> Batch:
    """Return the batch of frames ``B × [T, C, H, W]`` of B videos with a query."""
    items = [
        Item(Sample(id=str(i), media=name, query=query, target="", kind=WINDOW), i, video=video)
        for i, (name, video) in enumerate(zip(names, frames, strict=True))
    ]
    return objective.collator()(items).to(objective.device)
