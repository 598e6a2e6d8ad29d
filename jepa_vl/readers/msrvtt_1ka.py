"""MSR-VTT, the 1k-A test split of text-to-video retrieval."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from jepa_vl.readers.annotation import read_csv
from jepa_vl.readers.base import About, Reader
from jepa_vl.sample import Sample

VERSION = "MSRVTT_JSFUSION_test.csv (columns key, vid_key, video_id, sentence)"


class MSRVTT1kA(Reader):
    """One caption for each of 1,000 videos.

    Args:
        annotations: MSRVTT_JSFUSION_test.csv.
    """

    about: ClassVar[About] = About(
        title="MSR-VTT 1k-A",
        task="retrieval",
        split="test",
        metric="text-to-video R@1",
        homepage="https://www.microsoft.com/en-us/research/publication/msr-vtt-a-large-video-description-dataset-for-bridging-video-and-language/",
        licence="not stated with the annotations; videos are excerpts from YouTube, for research",
        expected={"test": 1000},
        assumptions=("The one caption of a video that the JSFusion list names is its query, not all 20.",),
    )

    def __init__(self, *, annotations: str) -> None:
        self.annotations = annotations

    def samples(self) -> Iterator[Sample]:
        """Yield one sample a row."""
        for row in read_csv(self.annotations, VERSION, ("key", "vid_key", "video_id", "sentence")):
            video = row.text("video_id")
            yield Sample(
                id=f"msrvtt_1ka/{row.text('key')}",
                media=f"{video}.mp4",
                target=row.text("sentence"),
                episode=video,
                split="test",
                source="msrvtt_1ka",
            )
