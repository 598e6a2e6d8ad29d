from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jepa_vl.data.records import read_manifest, write_manifest
from jepa_vl.data.shards.reading import ShardReader
from jepa_vl.data.shards.sheet import _colours, contact_sheet
from jepa_vl.data.shards.statistics import Counts, count, largest

Make = Callable[..., Any]


def test_the_sheet_shows_the_stored_pixels(make_manifest: Make, prepare_set: Make) -> None:
    """Grey frames: each drawn clip's own grey is on the sheet."""
    reader = ShardReader(str(prepare_set(make_manifest(train=2, val=0, test=0), features=False)))
    sheet = np.asarray(contact_sheet(reader))
    greys = {int(reader.video(row)[t, 0, 0, 0]) for row in range(2) for t in range(2)}
    for grey in greys:
        assert (sheet == grey).all(axis=-1).sum() >= 100 * 100


def test_tokens_that_differ_are_told_apart_by_colour(make_manifest: Make, prepare_set: Make) -> None:
    reader = ShardReader(str(prepare_set(make_manifest())))
    assert contact_sheet(reader).size[0] > 500
    tokens = torch.zeros(2, 4, 6)
    tokens[0, :2, 0], tokens[0, 2:, 0], tokens[1, :, 3] = 5, -5, 2
    colours = _colours(tokens).flatten(0, 1)
    assert len({tuple(c) for c in colours.tolist()}) == 3
    assert torch.equal(colours[0], colours[1])


def test_a_text_that_is_too_long_is_cut(make_manifest: Make, prepare_set: Make) -> None:
    manifest = make_manifest(train=1, val=0, test=0)
    long = [s.model_copy(update={"target": "word " * 500}) for s in read_manifest(manifest)]
    write_manifest(manifest, long)
    assert contact_sheet(ShardReader(str(prepare_set(manifest)))).size[0] < 2000


def test_counts_are_those_of_the_manifest(make_manifest: Make, prepare_set: Make) -> None:
    manifest: Path = make_manifest(train=4, val=2, test=0)
    samples = [
        s.model_copy(update={"kind": "what" if s.query else None, "source": "here", "target": "two words"})
        for s in read_manifest(manifest)
    ]
    write_manifest(manifest, samples)
    found = count(ShardReader(str(prepare_set(manifest))))
    train = found["split"]["train"]
    assert (train.samples, len(train.clips), train.queries, train.words, len(train.targets)) == (
        8,
        4,
        4,
        16,
        1,
    )
    assert {name: c.samples for name, c in found["kind"].items()} == {"": 6, "what": 6}
    assert {name: c.samples for name, c in found["source"].items()} == {"here": 12}


def test_the_smallest_groups_are_one_row() -> None:
    counts = {str(n): Counts(samples=n, targets={str(n)}) for n in range(1, 6)}
    rows = [(name, c.samples, len(c.targets)) for name, c in largest(counts, 3)]
    assert rows == [("5", 5, 1), ("4", 4, 1), ("3", 3, 1), ("2 others", 3, 2)]
