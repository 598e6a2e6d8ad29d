"""Mixtures: what share of every training batch is captions, classes, questions or replayed data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import torch

from jepa_vl.data.loader import ShuffledSampler
from jepa_vl.data.near import NearShuffle
from jepa_vl.errors import RecipeError, did_you_mean
from jepa_vl.sample import Sample


def pools_of(samples: Sequence[Sample], mixture: Mapping[str, float]) -> dict[str, list[int]]:
    """Return the positions of each component's samples; those that no component names are left out.

    A component is named by a role (`Sample.role`), a kind or its first part (``presence`` is
    ``presence/random`` as well), or a source. A sample belongs to the first that fits.

    Raises:
        RecipeError: A weight is not positive, or a component has no sample.
    """
    for name, weight in mixture.items():
        if weight <= 0 or not math.isfinite(weight):
            raise RecipeError(f"data.mixture.{name} must be a positive weight, found {weight:g}")
    pools: dict[str, list[int]] = {name: [] for name in mixture}
    seen: set[str] = set()
    for i, sample in enumerate(samples):
        names = _names(sample)
        seen.update(names)
        component = next((name for name in mixture if name in names), None)
        if component is not None:
            pools[component].append(i)
    for name, pool in pools.items():
        if not pool:
            raise RecipeError(
                f"data.mixture.{name}: no training sample has that role, kind or source"
                f"{' left' if name in seen else ''}; {did_you_mean(name, sorted(seen - {''}))}"
            )
    return pools


def _names(sample: Sample) -> set[str]:
    kind = sample.kind or ""
    return {sample.role, kind, kind.partition("/")[0], sample.source} - {""}


class MixtureSampler(ShuffledSampler):
    """Global batches in which every component has its share, to the nearest row over the whole training.

    Each component is gone through in an order of its own, shuffled anew on each pass; a small one comes
    round more often than a large one. What batch b holds depends on the seed and on b alone.

    Args:
        pools: Component → positions of its samples.
        weights: Component → weight; their sum does not matter.
        batch_size: B, the batch of one process.
        seed: Of the order.
        rank: This process.
        world_size: Number of processes.
        near: How the samples of a component are shuffled among near ones only; None to shuffle all.

    Raises:
        UserError: There are fewer samples than one global batch takes.
        RecipeError: A global batch has fewer rows than there are components.
    """

    def __init__(
        self,
        pools: Mapping[str, Sequence[int]],
        weights: Mapping[str, float],
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        near: NearShuffle | None = None,
    ) -> None:
        size = sum(len(pool) for pool in pools.values())
        super().__init__(size, batch_size=batch_size, seed=seed, rank=rank, world_size=world_size, near=near)
        rows = batch_size * world_size
        if rows < len(pools):
            raise RecipeError(
                f"data.mixture has {len(pools)} components, more than a batch of {rows} has samples"
            )
        total = sum(weights[name] for name in pools)
        self._names = sorted(pools, key=lambda name: (weights[name], name))
        self._shares = {name: weights[name] / total for name in pools}
        # of what the components before it leave over; at most a half, as the smaller ones come first
        self._parts = [
            weights[name] / sum(weights[other] for other in self._names[i:])
            for i, name in enumerate(self._names)
        ]
        self._pools = {name: list(pool) for name, pool in pools.items()}
        self._passes: dict[str, tuple[int, list[int]]] = {}

    def __iter__(self) -> Iterator[int]:
        """Yield the positions of as many batches as one pass has, from ``position`` on."""
        first = self.position
        for batch in range(first, first + self.batches_per_epoch):
            yield from self._own(self.rows(batch))

    def rows(self, batch: int) -> list[int]:
        """Return the positions in global batch ``batch``, for all processes."""
        rows = self.batch_size * self.num_replicas
        starts, ends = self._counts(batch * rows), self._counts((batch + 1) * rows)
        taken: list[int] = []
        for name, start, end in zip(self._names, starts, ends, strict=True):
            taken += self._next(name, start, end)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + batch)
        return [taken[i] for i in torch.randperm(rows, generator=generator).tolist()]

    def _counts(self, rows: int) -> list[int]:
        """How many of the first ``rows`` rows each component has; with more rows, none has fewer."""
        counts = []
        for part in self._parts[:-1]:
            counts.append(math.floor(rows * part))
            rows -= counts[-1]
        return [*counts, rows]  # the largest takes what rounding leaves over

    @property
    def order(self) -> dict[str, int | str]:
        """What the order depends on."""
        shares = ", ".join(f"{name} {self._shares[name]:.4g}" for name in sorted(self._shares))
        return {**super().order, "mixture": shares}

    def _next(self, name: str, start: int, end: int) -> list[int]:
        """Positions ``start`` to ``end`` of a component's endless order."""
        pool = self._pools[name]
        found = []
        for at in range(start, end):
            turn, place = divmod(at, len(pool))
            if self._passes.get(name, (-1, []))[0] != turn:
                number = self._names.index(name)
                generator = torch.Generator().manual_seed((self.seed * 1_009 + number) * 1_000_003 + turn)
                self._passes[name] = (turn, self._permuted(pool, generator))
            found.append(self._passes[name][1][place])
        return found
