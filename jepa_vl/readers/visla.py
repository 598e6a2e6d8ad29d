"""VISLA: two captions that mean the same and one that does not, in general and for places in space."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from jepa_vl.readers.annotation import Annotation, read_text
from jepa_vl.readers.base import About, Reader
from jepa_vl.sample import Sample

#: Kind → file and its columns: image, target, paraphrase, negative.
FILES = {
    "generic": ("SugarCrepe.tsv", ("filename", "caption", "second positive", "negative_caption")),
    "spatial": ("VSR_spatial.tsv", ("image", "sent1", "sent2", "Best reference (Semantically close)")),
}


class VISLA(Reader):
    """A sample of text alone an item; the image is not read.

    Args:
        annotations: The folder with SugarCrepe.tsv and VSR_spatial.tsv.
    """

    about: ClassVar[About] = About(
        title="VISLA (Variance and Invariance to Semantic and Lexical Alterations)",
        task="hard negatives (text alone)",
        split="test",
        metric="triplet accuracy: the mean of generic and spatial",
        homepage="https://github.com/Sri-Harsha/visla_benchmark",
        licence="not stated; captions are made from those of COCO, SugarCrepe and VSR",
        assumptions=(
            "SugarCrepe.tsv is the generic set and VSR_spatial.tsv the spatial one.",
            "The fifth column of VSR_spatial.tsv, an unrelated sentence, is not used.",
        ),
    )
    has_media: ClassVar[bool] = False

    def __init__(self, *, annotations: str) -> None:
        self.annotations = annotations

    def samples(self) -> Iterator[Sample]:
        """Yield the items, kind by kind."""
        for kind, (file, columns) in FILES.items():
            version = f"{file} of VISLA (a table with tabs: {', '.join(columns)})"
            for number, row in enumerate(_rows(Path(self.annotations) / file, version)):
                image, *texts = (row.text(column) for column in columns)
                yield Sample(
                    id=f"visla/{kind}/{number}",
                    media="",
                    target=texts[0],
                    paraphrase=texts[1],
                    negative=texts[2],
                    kind=f"visla/{kind}",
                    episode=image,
                    split="test",
                    source="visla",
                )


def _rows(path: Path, version: str) -> Iterator[Annotation]:
    """Yield the rows; the files quote nothing, so a quotation mark is a part of its caption."""
    head, *lines = read_text(path, version).split("\n")
    names = [name.strip() for name in head.split("\t")]
    for number, line in enumerate(lines, start=2):
        if line.strip():
            row = dict(zip(names, line.split("\t"), strict=False))
            yield Annotation(row, f"{path}, line {number}", version)
