"""Kinetics-400: ten seconds of one of 400 human actions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from jepa_vl.readers.annotation import read_csv
from jepa_vl.readers.base import About, Reader
from jepa_vl.sample import Sample

VERSION = "Kinetics-400's val.csv: label,youtube_id,time_start,time_end,split"
SPLITS = {"validate": "val", "validation": "val"}


class Kinetics400(Reader):
    """Kinetics-400, one trimmed clip a sample.

    Args:
        annotations: ``val.csv``.
        layout: Where clips lie: all in one folder, or each in a folder of its class's name.
    """

    about = About(
        title="Kinetics-400",
        task="classification",
        split="validation",
        metric="top-1 accuracy over 400 classes",
        homepage="https://github.com/cvdfoundation/kinetics-dataset",
        licence="annotations CC BY 4.0; the videos are YouTube's",
        expected={"val": 19_906},
        assumptions=(
            "The number expected is that of the rows of the official val.csv. The copy of the CVD Foundation "
            "has 19,881 of these clips, others have fewer (VideoMAE's list: 19,796). The paper does not say "
            "which it used.",
            "Clips are called youtubeid_000010_000020.mp4 after their seconds, as the common copies do.",
        ),
    )

    def __init__(self, *, annotations: str, layout: Literal["flat", "class"] = "flat") -> None:
        self.annotations = annotations
        self.layout = layout

    def samples(self) -> Iterator[Sample]:
        """Yield one sample a row."""
        columns = ("label", "youtube_id", "time_start", "time_end", "split")
        for row in read_csv(self.annotations, VERSION, columns):
            name, split = row.text("label"), row.text("split")
            clip = "{}_{:06d}_{:06d}".format(
                row.text("youtube_id"), round(row.number("time_start")), round(row.number("time_end"))
            )
            yield Sample(
                id=f"kinetics400/{clip}",
                media=f"{name}/{clip}.mp4" if self.layout == "class" else f"{clip}.mp4",
                target=name,
                label=name,
                episode=row.text("youtube_id"),
                split=SPLITS.get(split, split),
                source="kinetics400",
            )
