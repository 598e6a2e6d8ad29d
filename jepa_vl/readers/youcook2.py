"""YouCook2: retrieval of the clips of cooking videos."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from jepa_vl.readers.annotation import Annotation, read_json
from jepa_vl.readers.base import About, Reader
from jepa_vl.sample import Sample

VERSION = "youcookii_annotations_trainval.json (database → video → subset, recipe_type, annotations)"


class YouCook2(Reader):
    """A sample a segment of the validation videos: its clip and its sentence.

    Args:
        annotations: youcookii_annotations_trainval.json.
    """

    about: ClassVar[About] = About(
        title="YouCook2",
        task="retrieval; captioning",
        split="val",
        metric="text-to-video R@1; CIDEr",
        homepage="http://youcook2.eecs.umich.edu/",
        licence="not stated with the annotations; videos are YouTube's",
        expected={"val": 3492},
        assumptions=(
            "Clips are retrieved, not whole videos, as is usual; 3,492 is the complete set, and published "
            "numbers are often on the 3,350 clips or fewer that could still be downloaded.",
            "Videos lie as the official script puts them: raw_videos/validation/RECIPE_TYPE/VIDEO.mp4.",
        ),
    )

    def __init__(self, *, annotations: str) -> None:
        self.annotations = annotations

    def samples(self) -> Iterator[Sample]:
        """Yield the segments of the validation videos."""
        for video, entry in read_json(self.annotations, VERSION).at("database").items():
            if entry.text("subset") != "validation":
                continue
            for segment in entry.at("annotations").entries():
                start, end = _span(segment.at("segment"))
                yield Sample(
                    id=f"youcook2/{video}/{segment.text('id')}",
                    media=f"{entry.text('recipe_type')}/{video}.mp4",
                    start=start,
                    end=end,
                    target=segment.text("sentence"),
                    episode=video,
                    split="val",
                    source="youcook2",
                )


def _span(segment: Annotation) -> tuple[float, float]:
    pair = segment.value
    numbers = isinstance(pair, list) and len(pair) == 2 and all(isinstance(t, int | float) for t in pair)
    if not numbers or not 0 <= pair[0] < pair[1]:
        raise segment.wrong(f"found {pair}, expected a start and a later end in seconds")
    return float(pair[0]), float(pair[1])
