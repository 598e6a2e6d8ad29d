"""POPEv2: the same question of an image, and of that image with the object removed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from jepa_vl.readers.annotation import read_json
from jepa_vl.readers.base import About, Reader
from jepa_vl.readers.pope import YES_NO
from jepa_vl.sample import Sample

VERSION = (
    "annotations.json of POPEv2 (a list of objects with image_id, image_name, target_object, query, label)"
)


class POPEv2(Reader):
    """A sample a question, answered with yes or no.

    Args:
        annotations: annotations.json, from POPEv2/dataset of the POPE repository.
    """

    about: ClassVar[About] = About(
        title="POPEv2",
        task="vqa",
        split="test",
        metric="accuracy",
        homepage="https://github.com/AoiDragon/POPEv2",
        licence="MIT (code and documentation); images are those of COCO train2017, and edited ones",
        expected={"test": 1000},
        assumptions=(
            "Both images of the 500 pairs count, as the paper does not say otherwise.",
            "The media folder holds images/ (edited) and coco/train2017/ (original), the paths of the file.",
        ),
    )

    def __init__(self, *, annotations: str) -> None:
        self.annotations = annotations

    def samples(self) -> Iterator[Sample]:
        """Yield one sample a question."""
        for entry in read_json(self.annotations, VERSION).entries():
            image = entry.text("image_name").lstrip("/")
            kind = "counterfactual" if image.startswith("images/") else "normal"
            number = entry.text("image_id")
            entry.text("target_object")  # tells the file from the questions of POPE
            yield Sample(
                id=f"popev2/{kind}/{number}",
                media=image,
                query=entry.text("query"),
                target=entry.at("label").one_of(entry.text("label").lower(), YES_NO),
                candidates=YES_NO,
                kind=f"popev2/{kind}",
                episode=number,
                split="test",
                source="popev2",
            )
