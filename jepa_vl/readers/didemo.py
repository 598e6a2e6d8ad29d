"""DiDeMo: paragraph-to-video retrieval."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from jepa_vl.readers.annotation import read_json
from jepa_vl.readers.base import About, Reader
from jepa_vl.sample import Sample

VERSION = "test_data.json of DiDeMo (a list of objects with video, description, times)"


class DiDeMo(Reader):
    """All descriptions of a video as one paragraph.

    Args:
        annotations: test_data.json.
    """

    about: ClassVar[About] = About(
        title="DiDeMo (Distinct Describable Moments)",
        task="retrieval",
        split="test",
        metric="text-to-video R@1",
        homepage="https://github.com/LisaAnne/LocalizingMoments",
        licence="BSD-2-Clause (annotations); videos are Creative Commons videos of Flickr (YFCC100M)",
        expected={"test": 1004},
        assumptions=(
            "The descriptions of a video are joined by a space, in the order of the file.",
            "Of the 1,004 videos one is often not to be had; published numbers are then on 1,003.",
        ),
    )

    def __init__(self, *, annotations: str) -> None:
        self.annotations = annotations

    def samples(self) -> Iterator[Sample]:
        """Yield one sample a video, in the order of their first description."""
        paragraphs: dict[str, list[str]] = {}
        for entry in read_json(self.annotations, VERSION).entries():
            entry.at("times")  # tells the file from other lists of descriptions
            paragraphs.setdefault(entry.text("video"), []).append(entry.text("description"))
        for video, sentences in paragraphs.items():
            yield Sample(
                id=f"didemo/{video}",
                media=video,
                target=" ".join(sentences),
                episode=video,
                split="test",
                source="didemo",
            )
