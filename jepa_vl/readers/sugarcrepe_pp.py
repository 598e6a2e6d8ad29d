"""SugarCrepe++: two captions that mean the same, and one like them that does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from jepa_vl.readers.annotation import read_json
from jepa_vl.readers.base import About, Reader
from jepa_vl.sample import Sample

VERSION = "{file} of SugarCrepe++ (a list of objects with id, filename, caption, caption2, negative_caption)"
#: What was done to the caption to get the negative one, by file.
KINDS = {
    "replace_att": "replace_attribute",
    "replace_obj": "replace_object",
    "replace_rel": "replace_relation",
    "swap_att": "swap_attribute",
    "swap_obj": "swap_object",
}


class SugarCrepePP(Reader):
    """A sample of text alone an item; the image is not read.

    Args:
        annotations: The folder with replace_att.json, replace_obj.json, replace_rel.json, swap_att.json and
            swap_obj.json.
    """

    about: ClassVar[About] = About(
        title="SugarCrepe++",
        task="hard negatives (text alone)",
        split="test",
        metric="triplet accuracy: the mean over the five kinds",
        homepage="https://github.com/Sri-Harsha/scpp",
        licence="CC BY 4.0; captions are made from COCO's",
        expected={"test": 4757},
        assumptions=("Items are 788, 1,652, 1,406, 666 and 245 in the order of the files above.",),
    )
    has_media: ClassVar[bool] = False

    def __init__(self, *, annotations: str) -> None:
        self.annotations = annotations

    def samples(self) -> Iterator[Sample]:
        """Yield the items, kind by kind."""
        for name, kind in KINDS.items():
            file = f"{name}.json"
            for entry in read_json(Path(self.annotations) / file, VERSION.format(file=file)).entries():
                yield Sample(
                    id=f"sugarcrepe_pp/{name}/{entry.text('id')}",
                    media="",
                    target=entry.text("caption"),
                    paraphrase=entry.text("caption2"),
                    negative=entry.text("negative_caption"),
                    kind=f"sugarcrepe++/{kind}",
                    episode=entry.text("filename"),
                    split="test",
                    source="sugarcrepe_pp",
                )
