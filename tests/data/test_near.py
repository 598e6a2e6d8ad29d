from __future__ import annotations

import pytest
import torch

from jepa_vl.data.loader import ShuffledSampler
from jepa_vl.data.mixture import MixtureSampler
from jepa_vl.data.near import NearShuffle

SHARDS, SIZE, WIDTH = 40, 25, 4


def near(width: int = WIDTH) -> NearShuffle:
    return NearShuffle([row // SIZE for row in range(SHARDS * SIZE)], width)


def order(seed: int = 0, width: int = WIDTH) -> list[int]:
    return near(width).permuted(range(SHARDS * SIZE), torch.Generator().manual_seed(seed))


def test_every_row_comes_once_and_the_order_follows_the_seed() -> None:
    assert sorted(order()) == list(range(SHARDS * SIZE))
    assert order() == order()
    assert order(0) != order(1)


@pytest.mark.parametrize("width", [1, 4, 8])
def test_no_more_than_a_shard_beyond_the_width_is_in_use_at_any_time(width: int) -> None:
    shards = [row // SIZE for row in order(width=width)]
    first = {s: shards.index(s) for s in shards}
    last = {s: len(shards) - 1 - shards[::-1].index(s) for s in shards}
    used = [sum(first[s] <= t <= last[s] for s in first) for t in range(len(shards))]
    assert max(used) <= width + 1


def test_neighbours_in_the_order_are_of_many_shards() -> None:
    """The middle of a pass is as mixed as the width allows: all of its shards in any few samples."""
    shards = [row // SIZE for row in order()]
    seen = [len(set(shards[t : t + 32])) for t in range(200, 800, 32)]
    assert min(seen) >= WIDTH


def test_a_shard_s_samples_come_in_another_order_each_pass() -> None:
    one, other = ([row for row in order(seed) if row < SIZE] for seed in (0, 1))
    assert sorted(one) == sorted(other) == list(range(SIZE))
    assert one != other


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_together_see_the_global_batches_of_one_process_and_few_shards_each(world_size: int) -> None:
    def batches(rank: int, world: int) -> list[list[int]]:
        size = 32 // world
        sampler = ShuffledSampler(
            SHARDS * SIZE, batch_size=size, seed=3, rank=rank, world_size=world, near=near(8)
        )
        rows = list(sampler)
        return [rows[i : i + size] for i in range(0, len(rows), size)]

    whole = batches(0, 1)
    parts = [batches(rank, world_size) for rank in range(world_size)]
    assert all(len(part) == len(whole) > 20 for part in parts)
    for k, batch in enumerate(whole):
        assert sorted(batch) == sorted(row for part in parts for row in part[k])
    read = [{row // SIZE for batch in part for row in batch} for part in parts]
    assert sum(map(len, read)) < 0.75 * world_size * SHARDS, "each process reads nearly every shard"


def test_a_mixture_keeps_its_shares_and_each_component_reads_few_shards() -> None:
    pools = {"a": list(range(0, 1000, 2)), "b": list(range(1, 1000, 2))}
    sampler = MixtureSampler(pools, {"a": 3, "b": 1}, batch_size=16, seed=0, near=near())
    batches = [sampler.rows(i) for i in range(20)]
    assert all(sum(row % 2 == 0 for row in batch) == 12 for batch in batches)
    # 12 of 16 rows are of a, of which a shard has 12 or 13: about a new shard a batch
    used = {row // SIZE for batch in batches[:4] for row in batch if row % 2 == 0}
    assert len(used) <= WIDTH + 6


def test_a_checkpoint_of_another_width_is_another_order() -> None:
    one, other = (ShuffledSampler(1000, batch_size=10, seed=0, near=near(w)).order for w in (4, 5))
    assert one != other
    assert ShuffledSampler(1000, batch_size=10, seed=0).order == {
        "seed": 0,
        "samples": 1000,
        "global batch": 10,
    }
