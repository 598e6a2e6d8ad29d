"""DREAM-1K: retrieval of short videos by a description of their events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import ClassVar

from jepa_vl.readers.annotation import read_json
from jepa_vl.readers.base import About, Reader
from jepa_vl.sample import Sample

VERSION = "json/metadata.json of DREAM-1K (a list of objects with idx, video_file, description, events)"


class Dream1K(Reader):
    """A sample a video.

    Args:
        annotations: json/metadata.json.
    """

    about: ClassVar[About] = About(
        title="DREAM-1K",
        task="retrieval",
        split="test",
        metric="text-to-video R@1",
        homepage="https://huggingface.co/datasets/omni-research/DREAM-1K",
        licence="Apache 2.0 (annotations); videos for academic research only",
        expected={"test": 1000},
        assumptions=(
            "The key description is the query; the key events, which the captioning score uses, is not read.",
            "Only the file name of video_file is used, as the archive unpacks to a folder of another name.",
        ),
    )

    def __init__(self, *, annotations: str) -> None:
        self.annotations = annotations

    def samples(self) -> Iterator[Sample]:
        """Yield one sample an entry."""
        for entry in read_json(self.annotations, VERSION).entries():
            name = PurePosixPath(entry.text("video_file")).name
            yield Sample(
                id=f"dream1k/{entry.text('idx')}",
                media=name,
                target=entry.text("description"),
                episode=name,
                split="test",
                source="dream1k",
            )
