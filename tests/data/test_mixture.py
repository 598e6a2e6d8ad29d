"""Mixtures: their shares, their order, and the processes they are dealt to."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from jepa_vl.data.mixture import MixtureSampler, pools_of
from jepa_vl.errors import RecipeError
from jepa_vl.sample import Sample

POOLS = {"caption": list(range(0, 10)), "vqa": list(range(10, 50)), "class": list(range(50, 57))}
WEIGHTS = {"caption": 0.25, "vqa": 0.6, "class": 0.15}


def sampler(**changes: object) -> MixtureSampler:
    settings: dict[str, object] = {"batch_size": 8, "seed": 3} | changes
    return MixtureSampler(POOLS, WEIGHTS, **settings)  # type: ignore[arg-type]


def component(position: int) -> str:
    return next(name for name, pool in POOLS.items() if position in pool)


def test_shares_hold_to_the_nearest_row_over_the_whole_training() -> None:
    mixed = sampler()
    seen = Counter(component(i) for batch in range(500) for i in mixed.rows(batch))
    assert {name: seen[name] / 4000 for name in WEIGHTS} == pytest.approx(WEIGHTS, abs=1 / 4000 * 3)


def test_every_batch_is_full_and_close_to_its_shares() -> None:
    mixed = sampler()
    for batch in range(50):
        counts = Counter(map(component, mixed.rows(batch)))
        assert counts.total() == 8
        assert all(abs(counts[name] - 8 * share) < 2 for name, share in WEIGHTS.items())


@pytest.mark.parametrize(("components", "rows"), [(20, 64), (5, 6), (7, 7)])
def test_many_components_of_one_weight_all_have_their_share_and_no_sample_twice_in_a_pass(
    components: int, rows: int
) -> None:
    pools = {str(c): list(range(1000 * c, 1000 * (c + 1))) for c in range(components)}
    mixed = MixtureSampler(pools, dict.fromkeys(pools, 1.0), batch_size=rows, seed=0)
    batches = [mixed.rows(batch) for batch in range(900 * components // rows)]
    seen = [i for batch in batches for i in batch]
    assert len(set(seen)) == len(seen) == rows * len(batches)
    counts = Counter(i // 1000 for i in seen)
    assert all(abs(counts[c] - len(seen) / components) < 3 for c in range(components))


def test_a_component_is_gone_through_before_it_comes_round_again() -> None:
    mixed = sampler()
    stream = [i for batch in range(40) for i in mixed.rows(batch) if component(i) == "caption"]
    for start in (0, 10, 20, 30):
        some = stream[start : start + 10]
        # batches are shuffled within, so a pass may end in the middle of one
        assert len(set(some)) >= 8
    assert Counter(stream[:40]).most_common()[0][1] <= 5


def test_two_processes_share_out_the_batches_of_one() -> None:
    whole = sampler()
    halves = [sampler(batch_size=4, rank=rank, world_size=2) for rank in (0, 1)]
    first = [list(islice(half, 4)) for half in halves]
    assert sorted(first[0] + first[1]) == sorted(whole.rows(0))


def test_an_order_that_goes_on_is_that_of_one_that_never_stopped() -> None:
    whole, stopped = sampler(), sampler()
    expected = list(whole)
    stopped.position = 3
    assert list(stopped)[: len(expected) - 24] == expected[24:]


def test_another_mixture_is_another_order() -> None:
    other = MixtureSampler(POOLS, {**WEIGHTS, "vqa": 0.5}, batch_size=8, seed=3)
    assert sampler().order != other.order
    assert sampler().order == sampler(rank=0).order


def sample(**fields: object) -> Sample:
    return Sample.model_validate({"id": "x", "media": "a", "target": "yes", **fields})


SAMPLES = [
    sample(),
    sample(query="describe", kind="scene"),
    sample(query="what?", label="a"),
    sample(query="is it?", candidates=["yes", "no"], kind="presence/random"),
    sample(query="is it?", candidates=["yes", "no"], kind="count", source="gqa"),
]


@pytest.mark.parametrize(
    ("mixture", "expected"),
    [
        ({"caption": 1, "prompt": 1, "class": 1, "vqa": 1}, [[0], [1], [2], [3, 4]]),
        ({"presence": 1, "vqa": 1}, [[3], [4]]),
        ({"gqa": 1, "presence/random": 2}, [[4], [3]]),
    ],
)
def test_components_are_roles_kinds_and_sources(mixture: dict[str, float], expected: list[list[int]]) -> None:
    assert list(pools_of(SAMPLES, mixture).values()) == expected


@pytest.mark.parametrize(
    ("mixture", "said"),
    [
        ({"capton": 1}, r"data\.mixture\.capton: no training sample .*caption"),
        ({"vqa": 1, "count": 1}, "data.mixture.count: no training sample has that role, kind or source left"),
        ({"vqa": 0}, "data.mixture.vqa must be a positive weight, found 0"),
    ],
)
def test_a_component_without_samples_or_weight_is_named(mixture: dict[str, float], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        pools_of(SAMPLES, mixture)


def test_more_components_than_rows_are_refused() -> None:
    with pytest.raises(RecipeError, match="3 components, more than a batch of 2"):
        sampler(batch_size=2)
