from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jepa_vl.data.catalogue import Catalogue
from jepa_vl.data.records import write_manifest
from jepa_vl.errors import ManifestError
from jepa_vl.sample import Sample


def sample(id: str, **fields: Any) -> Sample:
    return Sample(**{"id": id, "media": "i.png", "target": "x", **fields})


def catalogue(folder: Path, *manifests: list[Sample]) -> Catalogue:
    paths = [folder / f"{i}.jsonl" for i in range(len(manifests))]
    for path, samples in zip(paths, manifests, strict=True):
        write_manifest(path, samples)
    return Catalogue(paths)


def test_several_manifests_are_one_catalogue(tmp_path: Path) -> None:
    made = catalogue(
        tmp_path, [sample("a", label="z")], [sample("b", split="val", label="y"), sample("c", label="z")]
    )
    assert {k: [r.sample.id for r in v] for k, v in made.splits.items()} == {
        "train": ["a", "c"],
        "val": ["b"],
    }
    assert made.labels == ["y", "z"]


def test_an_id_in_two_manifests_is_an_error_that_names_both(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"1\.jsonl, line 2.*'a'.*0\.jsonl, line 1"):
        catalogue(tmp_path, [sample("a")], [sample("b"), sample("a")])


def test_an_episode_in_two_splits_is_a_leak_and_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"line 2: episode 'e' is in split 'test' here and in 'train'"):
        catalogue(tmp_path, [sample("a", episode="e"), sample("b", episode="e", split="test")])


def test_the_hash_follows_texts_and_media_and_nothing_else(tmp_path: Path, media: SimpleNamespace) -> None:
    def hash_of(folder: str, value: int, **fields: Any) -> str:
        media.image(tmp_path / folder / "i.png", value)
        return catalogue(tmp_path / folder, [sample("a", **fields)]).data_hash

    first = hash_of("one", 1)
    assert hash_of("elsewhere", 1) == first
    assert hash_of("media", 2) != first
    assert hash_of("text", 1, query="q") != first
