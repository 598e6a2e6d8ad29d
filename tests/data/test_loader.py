from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from jepa_vl.data.loader import ShuffledSampler, TrainLoader, eval_loader, train_loader
from jepa_vl.data.mixture import MixtureSampler
from jepa_vl.data.near import NearShuffle
from jepa_vl.data.video import MediaError
from jepa_vl.errors import UserError


class Numbers(Dataset[int]):
    def __init__(self, size: int, bad: int = -1) -> None:
        self.size, self.bad = size, bad

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> int:
        if index == self.bad:
            raise MediaError("sample 'x': cannot read 'x.mp4': it is: broken")
        return index


def collate(items: Sequence[int]) -> Tensor:
    return torch.tensor(items)


def loader(size: int = 11, batch_size: int = 3, *, num_workers: int = 0, seed: int = 5) -> TrainLoader:
    sampler = ShuffledSampler(size, batch_size=batch_size, seed=seed)
    return train_loader(Numbers(size), sampler, collate=collate, num_workers=num_workers)  # type: ignore[arg-type]


def take(from_: TrainLoader, count: int) -> list[list[int]]:
    """Take batches as Lightning does: iterate anew for each pass."""
    taken: list[list[int]] = []
    while len(taken) < count:
        for batch in from_:
            taken.append(batch.tolist())  # type: ignore[attr-defined]
            if len(taken) == count:
                break
    return taken


def test_each_pass_takes_no_sample_twice_and_passes_differ() -> None:
    batches = take(loader(12), 12)
    passes = [[row for batch in batches[i : i + 4] for row in batch] for i in (0, 4, 8)]
    assert all(sorted(p) == list(range(12)) for p in passes)
    assert passes[0] != passes[1] != passes[2]


def test_the_order_depends_on_the_seed_alone() -> None:
    first = take(loader(), 7)
    torch.manual_seed(99)
    assert take(loader(), 7) == first
    assert take(loader(seed=6), 7) != first


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_together_see_the_global_batches_of_one_process(world_size: int) -> None:
    def batches(rank: int, world: int, size: int) -> list[list[int]]:
        order = list(ShuffledSampler(26, batch_size=size, seed=1, rank=rank, world_size=world))
        return [order[i : i + size] for i in range(0, len(order), size)]

    one = batches(0, 1, 2 * world_size)
    parts = [batches(rank, world_size, 2) for rank in range(world_size)]
    assert len(one) == len(parts[0]) > 2
    for k, whole in enumerate(one):
        assert sorted(whole) == sorted(i for part in parts for i in part[k])


@pytest.mark.parametrize("size", [24, 25, 26, 31])
@pytest.mark.parametrize("mixed", [False, True])
def test_every_training_batch_is_full_on_every_rank_whatever_the_number_of_samples(
    size: int, mixed: bool
) -> None:
    """A contrastive loss gathers the rows of all ranks, which must be equally many."""
    pools = {"few": range(5), "many": range(5, size)}
    for rank in range(3):
        place: dict[str, int] = {"batch_size": 4, "seed": 1, "rank": rank, "world_size": 3}
        sampler = (
            MixtureSampler(pools, {"few": 1, "many": 2}, **place) if mixed else ShuffledSampler(size, **place)
        )
        batches = take(train_loader(Numbers(size), sampler, collate=collate, num_workers=0), 5)  # type: ignore[arg-type]
        assert [len(batch) for batch in batches] == [4] * 5


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("stop", [0, 2, 3, 5])
def test_a_resumed_loader_goes_on_with_the_very_same_batches(num_workers: int, stop: int) -> None:
    whole = take(loader(), 9)
    before = loader(num_workers=num_workers)
    assert take(before, stop) == whole[:stop] if stop else True
    after = loader(num_workers=num_workers)
    after.load_state_dict(before.state_dict())
    assert take(after, 9 - stop) == whole[stop:]


def test_passes_cut_short_do_not_repeat_their_beginning() -> None:
    """Lightning's limit_train_batches stops each pass; the next one goes on in the order."""
    limited = loader()
    taken = [next(iter(limited)).tolist() for _ in range(5)]  # type: ignore[attr-defined]
    assert taken == take(loader(), 5)


def test_a_batch_whose_step_was_interrupted_is_done_again() -> None:
    whole = take(loader(), 4)
    before = loader()
    take(before, 2)
    before.in_flight = lambda: 1
    after = loader()
    after.load_state_dict(before.state_dict())
    assert take(after, 3) == whole[1:]


def test_a_state_of_other_data_is_said_and_starts_a_new_pass() -> None:
    before = loader(11)
    take(before, 4)  # in the second pass
    after = loader(14, seed=6)
    with pytest.warns(UserWarning, match=re.escape("(seed 5 → 6, samples 11 → 14)")):
        after.load_state_dict(before.state_dict())
    fresh = loader(14, seed=6)
    assert take(after, 2) == take(fresh, 2 * 4 + 2)[-2:]


@pytest.mark.parametrize(
    ("sampler", "said"),
    [
        (
            MixtureSampler({"a": range(4), "b": range(4, 11)}, {"a": 1.0, "b": 2.0}, batch_size=3, seed=5),
            "(mixture a 0.3333, b 0.6667 → none)",
        ),
        (
            ShuffledSampler(11, batch_size=3, seed=5, near=NearShuffle([i // 4 for i in range(11)], 2)),
            "(shards mixed 2 → none)",
        ),
    ],
)
def test_a_mixture_or_shards_mixed_that_are_no_longer_there_are_another_order(
    sampler: ShuffledSampler, said: str
) -> None:
    before = train_loader(Numbers(11), sampler, collate=collate, num_workers=0)  # type: ignore[arg-type]
    take(before, 2)
    after = loader()
    with pytest.warns(UserWarning, match=re.escape(said)):
        after.load_state_dict(before.state_dict())
    assert take(after, 1) == take(loader(), 4)[3:]


def test_too_few_samples_for_a_batch_is_an_error_with_numbers() -> None:
    with pytest.raises(UserError, match=re.escape("4 × 2 process(es) takes 8")) as caught:
        ShuffledSampler(6, batch_size=4, seed=0, world_size=2)
    assert "there are 6; make batch_size at most 3" in str(caught.value)


def test_loading_draws_nothing_from_the_generator_of_dropout() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    take(loader(), 5)
    list(eval_loader(Numbers(5), batch_size=2, collate=collate, num_workers=0))  # type: ignore[arg-type]
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_error_in_a_worker_arrives_as_its_one_message(num_workers: int) -> None:
    broken = eval_loader(Numbers(5, bad=3), batch_size=2, collate=collate, num_workers=num_workers)  # type: ignore[arg-type]
    with pytest.raises(MediaError) as caught:
        list(broken)
    assert str(caught.value) == "sample 'x': cannot read 'x.mp4': it is: broken"


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_evaluation_covers_every_sample_with_equally_many_batches_on_each_rank(world_size: int) -> None:
    parts = [
        [
            b.tolist()  # type: ignore[attr-defined]
            for b in eval_loader(
                Numbers(7),
                batch_size=2,
                collate=collate,
                num_workers=0,
                rank=rank,
                world_size=world_size,  # type: ignore[arg-type]
            )
        ]
        for rank in range(world_size)
    ]
    assert len({len(part) for part in parts}) == 1
    assert {i for part in parts for batch in part for i in batch} == set(range(7))
    if world_size == 1:
        assert parts[0] == [[0, 1], [2, 3], [4, 5], [6]]


def test_a_matching_state_is_taken_in_silence() -> None:
    before, after = loader(), loader()
    take(before, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        after.load_state_dict(before.state_dict())
