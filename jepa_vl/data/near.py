"""Shuffling among near samples: as random as can be while only a few shards are in use at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch


class NearShuffle:
    """Mixes every sample with those of about ``width`` shards, and goes through all shards like that.

    The shards come in random order, and a new one is begun when an old one is used up, so that they are
    fetched one after the other and never many at once: a sample of the shard that comes p-th stands at
    ``p + width · u``, u uniform in [0, 1), and the samples are taken in the order of where they stand.

    Args:
        shard_of: Number of each sample's shard.
        width: How many shards are mixed.
    """

    def __init__(self, shard_of: Sequence[int], width: int) -> None:
        self.shard_of = list(shard_of)
        self.width = width
        self._numbers = torch.as_tensor(self.shard_of, dtype=torch.long)

    def permuted(self, rows: Sequence[int], generator: torch.Generator) -> list[int]:
        """Return the rows in an order that the generator alone decides."""
        taken = torch.as_tensor(rows, dtype=torch.long)
        places = torch.randperm(max(self.shard_of, default=-1) + 1, generator=generator)
        within = torch.rand(len(taken), generator=generator, dtype=torch.float64) * self.width
        return taken[torch.argsort(places[self._numbers[taken]] + within, stable=True)].tolist()

    def dealt(self, rows: Sequence[int]) -> list[int]:
        """Return the rows of a global batch by shard: processes that take equal parts share few shards."""
        return sorted(rows, key=lambda row: (self.shard_of[row], row))
