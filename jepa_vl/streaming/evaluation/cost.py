"""What one window and one decode cost, one at a time as in a live stream."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor

from jepa_vl.data.base import SampleSet
from jepa_vl.objectives.base import Objective
from jepa_vl.sample import Batch, Item

MEASURED = 8  # calls, after one that warms up


def seconds_of(call: Callable[[Any], object], arguments: Sequence[Any], device: torch.device) -> float | None:
    """Return the median seconds of a call, the first left out; None with fewer than two arguments."""
    found = []
    for argument in arguments[: MEASURED + 1]:
        _wait(device)
        begin = time.perf_counter()
        call(argument)
        _wait(device)
        found.append(time.perf_counter() - begin)
    return median(found[1:]) if len(found) > 1 else None


def single_batches(objective: Objective, samples: SampleSet, positions: Sequence[int]) -> list[Batch]:
    """Return batches of one from frames, as a live stream has them: no cache, the encoder's work included.

    Samples whose frames are not to be had are passed over.
    """
    items = []
    for position in positions[: MEASURED + 1]:
        frames = samples.frames(position)
        if frames is not None:
            items.append(Item(samples.samples[position], position, video=frames))
    if not items:
        return []
    collate = objective.collator()
    return [collate([item]).to(objective.device) for item in items]


def rows_of(embeddings: Tensor) -> list[Tensor]:
    """Return the first embeddings of ``[n, E]``, each ``[1, E]``."""
    return list(embeddings[: MEASURED + 1].split(1))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
