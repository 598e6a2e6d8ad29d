"""In which order an arm sees the training samples, as one hash, without reading any media."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from torch.utils.data import DataLoader

from jepa_vl.data.base import SampleData
from jepa_vl.data.loader import ShuffledSampler
from jepa_vl.sample import Batch


@dataclass
class Process:
    """What a data module and an objective ask of their trainer before training: which process of a run it is.

    Attributes:
        estimated_stepping_batches: Optimizer steps of the run.
        global_rank: Number of the process.
        world_size: How many there are.
    """

    estimated_stepping_batches: int
    global_rank: int = 0
    world_size: int = 1


@dataclass(frozen=True)
class Order:
    """The training samples of a run, step by step.

    Attributes:
        hash: Over the ids of every batch of every process.
        samples: How many the run sees.
        batch: How many are in a batch of one process.
        pool: Of how many they are drawn.
        most: How often the sample that comes most often comes; in a mixture some do more than others.
    """

    hash: str
    samples: int
    batch: int
    pool: int
    most: int

    @property
    def passes(self) -> float:
        """How many times the run goes through its samples."""
        return self.samples / self.pool


def training_order(data: SampleData, *, steps: int, accumulate: int = 1, processes: int = 1) -> Order:
    """Go through the batches of a run as its loaders would.

    Args:
        data: Attached to an objective and set up to train.
        steps: Optimizer steps of the run.
        accumulate: Batches to a step.
        processes: How many train together.
    """
    digest = hashlib.sha256()
    times: Counter[str] = Counter()
    batch = 0
    for number, ids in enumerate(batch_ids(data, steps * accumulate, processes=processes)):
        digest.update(f"{number} {ids!r}\n".encode())
        times.update(ids)
        batch = max(batch, len(ids))
    pool = len(data.sample_set(data.train_split))
    return Order(digest.hexdigest(), times.total(), batch, pool, max(times.values(), default=0))


def batch_ids(data: SampleData, batches: int, *, processes: int = 1) -> Iterator[list[str]]:
    """Yield the sample ids of as many training batches, of one process after the other."""
    attached = data.trainer
    for rank in range(processes):
        data.trainer = Process(batches, rank, processes)  # type: ignore[assignment]
        try:
            loader = data.train_dataloader()
        finally:
            data.trainer = attached
        names = [sample.id for sample in loader.dataset.samples]  # type: ignore[attr-defined]
        for places in islice(_batches(loader), batches):
            yield [names[place] for place in places]


def _batches(loader: DataLoader[Batch]) -> Iterator[list[int]]:
    """Yield the places of every batch, pass after pass, as iterating over the loader would read them."""
    sampler: Any = loader.sampler
    epoch = 0
    while True:
        if hasattr(sampler, "set_epoch"):  # as Lightning does
            sampler.set_epoch(epoch)
        taken = 0
        for places in loader.batch_sampler or ():
            if isinstance(sampler, ShuffledSampler):
                sampler.position += 1
            taken += 1
            yield list(places)
        if not taken:
            return
        epoch += 1
