"""VDC-1k: retrieval by the long detailed captions of AuroraCap's benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from jepa_vl.readers.annotation import read_jsonl
from jepa_vl.readers.base import About, Reader
from jepa_vl.sample import Sample

VERSION = "VDC_1k.jsonl (objects with video_id, video_name, detailed_caption)"


class VDC1k(Reader):
    """A sample a video, with its detailed caption.

    Args:
        annotations: VDC_1k.jsonl.
    """

    about: ClassVar[About] = About(
        title="VDC-1k (Video Detailed Captions)",
        task="retrieval",
        split="test",
        metric="text-to-video R@1",
        homepage="https://huggingface.co/datasets/wchai/Video-Detailed-Caption",
        licence="Apache 2.0 (hub card); the videos come from Panda-70M, Ego4D, Mixkit, Pixabay and Pexels",
        expected={"test": 1027},
        assumptions=(
            "Of the five captions of a video (short, background, main_object, camera, detailed) the detailed "
            "one is the query; the paper does not say which.",
        ),
    )

    def __init__(self, *, annotations: str) -> None:
        self.annotations = annotations

    def samples(self) -> Iterator[Sample]:
        """Yield one sample a line."""
        for entry in read_jsonl(self.annotations, VERSION):
            video = entry.text("video_id")
            yield Sample(
                id=f"vdc1k/{video}",
                media=entry.text("video_name"),
                target=entry.text("detailed_caption"),
                episode=video,
                split="test",
                source="vdc1k",
            )
