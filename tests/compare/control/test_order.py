from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jepa_vl.compare.control.observe import processes
from jepa_vl.compare.control.order import batch_ids, training_order
from jepa_vl.compare.runs.parts import build_parts
from jepa_vl.data.manifest import ManifestData


@pytest.fixture
def data(compare) -> ManifestData:
    parts, _ = build_parts(compare().arm("jepa").values)
    assert isinstance(parts.data, ManifestData)
    parts.data.setup("fit")
    return parts.data


def read_by_the_loader(data: Any, batches: int) -> list[list[str]]:
    """The ids of the samples that training itself would read, media and all."""
    loader = data.train_dataloader()
    found: list[list[str]] = []
    while len(found) < batches:
        found += [[sample.id for sample in batch.samples] for batch in loader]
    return found[:batches]


def test_the_ids_are_those_that_the_training_loader_reads_over_several_passes(data: Any) -> None:
    assert list(batch_ids(data, 10)) == read_by_the_loader(data, 10)  # 4 batches to a pass


def test_the_ids_of_a_mixture_are_those_that_the_training_loader_reads(data: Any) -> None:
    data.mixture = {"caption": 1, "vqa": 3}
    ids = list(batch_ids(data, 9))
    assert ids == read_by_the_loader(data, 9)
    assert sum("question" in name for batch in ids for name in batch) == 27


def test_several_processes_see_the_batches_that_one_with_their_joint_batch_sees(data: Any) -> None:
    apart = list(batch_ids(data, 5, processes=2))
    data.batch_size = 8
    joint = list(batch_ids(data, 5))
    assert [{*first, *second} for first, second in zip(apart[:5], apart[5:], strict=True)] == [
        set(batch) for batch in joint
    ]


def test_no_media_are_read_for_the_order(data: Any) -> None:
    for file in Path("data").glob("*.png"):
        file.unlink()
    assert training_order(data, steps=4).samples == 16


def test_the_order_counts_samples_batches_and_passes(data: Any) -> None:
    order = training_order(data, steps=3, accumulate=2, processes=2)
    assert (order.samples, order.batch, order.pool) == (48, 4, 16)
    assert order.passes == 3.0
    assert order.most == 3


def test_a_small_part_of_a_mixture_comes_more_often(data: Any) -> None:
    data.mixture = {"caption": 1, "vqa": 3}
    order = training_order(data, steps=16)  # 64 samples, 48 of them of 8 questions
    assert (order.most, order.passes) == (6, 4.0)


def test_going_through_the_order_leaves_the_data_as_they_were(data: Any) -> None:
    before = read_by_the_loader(data, 4)
    training_order(data, steps=3)
    assert read_by_the_loader(data, 4) == before
    assert data.trainer is None


def test_another_seed_or_length_is_another_order(data: Any) -> None:
    first = training_order(data, steps=4).hash
    assert training_order(data, steps=4).hash == first
    assert training_order(data, steps=5).hash != first
    data.seed += 1
    assert training_order(data, steps=4).hash != first


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"devices": 4, "num_nodes": 2}, 8),
        ({"devices": "2"}, 2),
        ({"devices": [0, 3]}, 2),
        ({"devices": "0,1,2"}, 3),
        ({"devices": "auto", "accelerator": "cpu"}, 1),
    ],
)
def test_the_processes_are_counted_without_the_machine_that_has_them(
    options: dict[str, Any], count: int
) -> None:
    assert processes(options) == count
