"""Loaders: an endless seeded order of training batches that can be resumed anywhere, and plain evaluation."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from jepa_vl.data.near import NearShuffle
from jepa_vl.errors import UserError
from jepa_vl.sample import Batch, Item


class ShuffledSampler(DistributedSampler[Any]):
    """One process's part of an endless sequence of global batches, which depends on the seed alone.

    The data set is shuffled anew for each pass; rows that do not fill a global batch are dropped. Of
    each global batch process r of W takes rows r, r+W, r+2W, …, so that W processes with batches of B
    see the same global batches as one process with batches of W·B. Where samples are shuffled among near
    ones, the rows of a global batch are dealt out by shard instead.

    (A `DistributedSampler`, so that Lightning leaves it as it is.)

    Args:
        size: Number of samples.
        batch_size: B, the batch of one process.
        seed: Of the order.
        rank: r.
        world_size: W.
        near: How samples are shuffled among near ones only; None to shuffle all.

    Raises:
        UserError: There are fewer samples than one global batch takes.
    """

    def __init__(
        self,
        size: int,
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        near: NearShuffle | None = None,
    ) -> None:
        if size < batch_size * world_size:
            raise UserError(
                f"data.batch_size {batch_size} × {world_size} process(es) takes {batch_size * world_size} "
                f"training samples, but there are {size}; make batch_size at most {size // world_size}"
            )
        self.size, self.batch_size, self.seed = size, batch_size, seed
        self.rank, self.num_replicas = rank, world_size
        self.near = near
        self.batches_per_epoch = size // (batch_size * world_size)
        self.position = 0  # in batches, since the beginning of the training

    def __len__(self) -> int:
        return self.batches_per_epoch * self.batch_size

    def __iter__(self) -> Iterator[int]:
        """Yield the indices of as many batches as one pass has, from ``position`` on."""
        order: list[int] = []
        order_of = -1
        rows = self.batch_size * self.num_replicas
        first = self.position
        for batch in range(first, first + self.batches_per_epoch):
            epoch, at = divmod(batch, self.batches_per_epoch)
            if epoch != order_of:
                order, order_of = self._order(epoch), epoch
            yield from self._own(order[at * rows : (at + 1) * rows])

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: the order goes on from ``position``, whatever Lightning takes for an epoch."""

    @property
    def order(self) -> dict[str, int | str]:
        """What the order depends on."""
        rows = self.batch_size * self.num_replicas
        found: dict[str, int | str] = {"seed": self.seed, "samples": self.size, "global batch": rows}
        return found if self.near is None else {**found, "shards mixed": self.near.width}

    def _own(self, rows: list[int]) -> list[int]:
        """Return this process's part of a global batch."""
        if self.near is None:
            return rows[self.rank :: self.num_replicas]
        return self.near.dealt(rows)[self.rank * self.batch_size : (self.rank + 1) * self.batch_size]

    def _permuted(self, rows: Sequence[int], generator: torch.Generator) -> list[int]:
        if self.near is not None:
            return self.near.permuted(rows, generator)
        return [rows[i] for i in torch.randperm(len(rows), generator=generator).tolist()]

    def _order(self, epoch: int) -> list[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        return self._permuted(range(self.size), generator)


class BatchLoader(DataLoader[Any]):
    """A DataLoader whose workers' errors for the user arrive without their stack trace."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        try:
            yield from super().__iter__()
        except UserError as error:
            # a worker's exception comes as text: "Caught … in worker. Original traceback …: message"
            name = f"{type(error).__module__}.{type(error).__qualname__}: "
            raise type(error)(str(error).rpartition(name)[2].strip()) from None


class TrainLoader(BatchLoader):
    """Training batches. Lightning keeps its state in checkpoints, so that a run goes on where it stopped.

    Attributes:
        in_flight: Says how many batches were yielded whose step is not done; they are not in the state, so
            that a run interrupted within a step does that step again.
    """

    in_flight: Callable[[], int] = staticmethod(lambda: 0)

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Yield one pass of batches from where the last iteration stopped."""
        for batch in super().__iter__():
            if isinstance(self.sampler, ShuffledSampler):
                self.sampler.position += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the training order, and what the order depends on."""
        if not isinstance(self.sampler, ShuffledSampler):  # Lightning's overfit_batches puts in its own
            return {}
        return {"position": self.sampler.position - self.in_flight(), **self.sampler.order}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved position. If the order is another one, the next pass through the data begins."""
        if not state or not isinstance(self.sampler, ShuffledSampler):
            return
        now = self.sampler.order
        then = {key: value for key, value in state.items() if key != "position"}
        if now == then:
            self.sampler.position = state["position"]
            return
        changed = ", ".join(
            f"{key} {then.get(key, 'none')} → {now.get(key, 'none')}"
            for key in {**then, **now}
            if then.get(key) != now.get(key)
        )
        warnings.warn(
            f"the training data are in another order than in the checkpoint ({changed}); "
            "training goes on with a new pass through them",
            stacklevel=2,
        )
        per_epoch = then["samples"] // then["global batch"]
        self.sampler.position = -(-state["position"] // per_epoch) * self.sampler.batches_per_epoch


def train_loader(
    samples: Dataset[Item],
    sampler: ShuffledSampler,
    *,
    collate: Callable[[list[Item]], Batch],
    num_workers: int,
    pin_memory: bool = False,
) -> TrainLoader:
    """Return the loader of shuffled training batches."""
    return TrainLoader(
        samples,
        batch_size=sampler.batch_size,
        sampler=sampler,
        collate_fn=collate,
        num_workers=num_workers,
        pin_memory=pin_memory,
        persistent_workers=num_workers > 0,
        drop_last=True,
        # its own, so that loading draws nothing from the generator that dropout uses
        generator=torch.Generator().manual_seed(sampler.seed),
    )


def eval_loader(
    samples: Dataset[Item],
    *,
    batch_size: int,
    collate: Callable[[list[Item]], Batch],
    num_workers: int,
    rank: int = 0,
    world_size: int = 1,
    pin_memory: bool = False,
) -> BatchLoader:
    """Return a loader that goes through a sample set in order.

    Process r of W takes samples r, r+W, …; where they do not come out even, the first ones are repeated, so
    that all processes have equally many batches. Tasks count a sample once by its index.
    """
    sharded: DistributedSampler[Any] | None = None
    if world_size > 1:
        sharded = DistributedSampler(samples, num_replicas=world_size, rank=rank, shuffle=False)
    return BatchLoader(
        samples,
        batch_size=batch_size,
        sampler=sharded,
        shuffle=False,
        collate_fn=collate,
        num_workers=num_workers,
        pin_memory=pin_memory,
        generator=torch.Generator(),
    )
