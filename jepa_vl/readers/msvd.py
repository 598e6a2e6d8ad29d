"""MSVD: retrieval with about forty captions for each video."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from jepa_vl.errors import ManifestError
from jepa_vl.readers.annotation import read_text
from jepa_vl.readers.base import About, Reader
from jepa_vl.sample import Sample

VERSION = "AllVideoDescriptions.txt (lines 'VIDEO_START_END description'; lines with # are comments)"
LIST = "test_list.txt (a name VIDEO_START_END a line)"
_LINE = re.compile(r"(\S+_\d+_\d+)\s+(.*\S)\s*")
_NAME = re.compile(r"\S+_\d+_\d+")


class MSVD(Reader):
    """A sample a caption; the captions of a video share it.

    Args:
        annotations: AllVideoDescriptions.txt.
        test_list: test_list.txt, the 670 videos of the test split.
    """

    about: ClassVar[About] = About(
        title="MSVD (Microsoft Research Video Description Corpus)",
        task="retrieval",
        split="test",
        metric="text-to-video R@1",
        homepage="https://www.cs.utexas.edu/~ml/clamp/videoDescription/",
        licence="not stated with the descriptions; videos are excerpts from YouTube, for research",
        expected={"test": 27763},
        assumptions=(
            "The test split has 670 videos.",
            "Every English caption is a query of its own.",
        ),
    )

    def __init__(self, *, annotations: str, test_list: str) -> None:
        self.annotations = annotations
        self.test_list = test_list

    def samples(self) -> Iterator[Sample]:
        """Yield the captions video by video, in the order of the list."""
        said: dict[str, list[str]] = {}
        for number, line in enumerate(read_text(self.annotations, VERSION).split("\n"), start=1):
            if not line.strip() or line.startswith("#"):
                continue
            found = _LINE.fullmatch(line)
            if found is None:
                raise ManifestError(
                    f"{self.annotations}, line {number}: found '{line[:60]}'; this reader reads {VERSION}"
                )
            said.setdefault(found[1], []).append(found[2])
        for number, line in enumerate(read_text(self.test_list, LIST).split("\n"), start=1):
            video = line.strip()
            if not video:
                continue
            where = f"{self.test_list}, line {number}"
            if not _NAME.fullmatch(video):
                raise ManifestError(f"{where}: found '{video[:60]}'; this reader reads {LIST}")
            if video not in said:
                raise ManifestError(f"{where}: '{video}' has no description in {self.annotations}")
            for n, text in enumerate(said[video]):
                yield Sample(
                    id=f"msvd/{video}/{n}",
                    media=f"{video}.avi",
                    target=text,
                    episode=video,
                    split="test",
                    source="msvd",
                )
