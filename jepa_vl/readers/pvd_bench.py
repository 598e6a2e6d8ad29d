"""PVD-Bench: retrieval with the human captions of the PE Video Dataset."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from jepa_vl.errors import ManifestError
from jepa_vl.readers.annotation import Annotation, read_json
from jepa_vl.readers.base import About, Reader
from jepa_vl.sample import Sample

VERSION = "the test shards of PE-Video (*.tar with KEY.json beside KEY.mp4), or what they unpack to"


class PVDBench(Reader):
    """A sample a video, with its human caption; texts are read from the shards as they are.

    Args:
        annotations: The folder of the test shards, or of the files unpacked from them.
    """

    about: ClassVar[About] = About(
        title="PVD-Bench (PE Video Dataset, test)",
        task="retrieval; captioning",
        split="test",
        metric="text-to-video R@1; CIDEr",
        homepage="https://huggingface.co/datasets/facebook/PE-Video",
        licence="see the hub card",
        expected={"test": 15000},
        assumptions=(
            "The benchmark is the videos of the test split that have a human_caption, with that caption.",
            "The videos are unpacked into one folder, each by its key.",
        ),
    )

    def __init__(self, *, annotations: str) -> None:
        self.annotations = annotations

    def samples(self) -> Iterator[Sample]:
        """Yield the videos shard by shard."""
        folder = Path(self.annotations)
        if not folder.is_dir():
            raise ManifestError(f"'{folder}' is not a folder; expected {VERSION}")
        shards = sorted(folder.glob("*.tar"))
        empty = True
        for key, entry in _packed(shards) if shards else _unpacked(folder):
            empty = False
            if entry.at("human_caption").value is None:
                continue
            yield Sample(
                id=f"pvd_bench/{key}",
                media=f"{key}.mp4",
                target=entry.text("human_caption"),
                episode=key,
                split="test",
                source="pvd_bench",
            )
        if empty:
            raise ManifestError(f"'{folder}' holds no .tar and no .json file; expected {VERSION}")


def _packed(shards: list[Path]) -> Iterator[tuple[str, Annotation]]:
    for shard in shards:
        try:
            with tarfile.open(shard) as tar:
                for member in tar:
                    if not member.name.endswith(".json") or (file := tar.extractfile(member)) is None:
                        continue
                    where = f"{shard}, {member.name}"
                    try:
                        value = json.loads(file.read())
                    except ValueError as error:
                        raise ManifestError(f"{where}: not JSON; this reader reads {VERSION}") from error
                    yield _key(member.name), Annotation(value, where, VERSION)
        except tarfile.TarError as error:
            raise ManifestError(f"{shard} is not a whole tar file ({error})") from error


def _unpacked(folder: Path) -> Iterator[tuple[str, Annotation]]:
    for path in sorted(folder.glob("*.json")):
        yield _key(path.name), read_json(path, VERSION)


def _key(name: str) -> str:
    return name.removeprefix("./").removesuffix(".json")
