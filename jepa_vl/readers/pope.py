"""POPE: is this object in the image? Asked of objects that are not, chosen in three ways."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from jepa_vl.readers.annotation import read_jsonl
from jepa_vl.readers.base import About, Reader
from jepa_vl.sample import Sample

VERSION = "coco_pope_{kind}.json of POPE (a JSON object a line: question_id, image, text, label)"
KINDS = ("random", "popular", "adversarial")
YES_NO = ("yes", "no")


class POPE(Reader):
    """A sample a question, answered with yes or no.

    Args:
        annotations: The folder with coco_pope_random.json, coco_pope_popular.json and
            coco_pope_adversarial.json.
    """

    about: ClassVar[About] = About(
        title="POPE (Polling-based Object Probing Evaluation), MS-COCO",
        task="vqa",
        split="test",
        metric="accuracy: the mean over random, popular and adversarial; precision, recall, F1, share of yes",
        homepage="https://github.com/AoiDragon/POPE",
        licence="MIT (questions); images are those of COCO val2014",
        expected={"test": 9000},
        assumptions=(
            "The three files have 3,000 questions each; an earlier coco_pope_random.json had 2,910.",
        ),
    )

    def __init__(self, *, annotations: str) -> None:
        self.annotations = annotations

    def samples(self) -> Iterator[Sample]:
        """Yield the questions, kind by kind."""
        for kind in KINDS:
            path = Path(self.annotations) / f"coco_pope_{kind}.json"
            for entry in read_jsonl(path, VERSION.format(kind=kind)):
                image, label = entry.text("image"), entry.text("label")
                yield Sample(
                    id=f"pope/{kind}/{entry.text('question_id')}",
                    media=image,
                    query=entry.text("text"),
                    target=entry.at("label").one_of(label.lower(), YES_NO),
                    candidates=YES_NO,
                    kind=f"pope/{kind}",
                    episode=image,
                    split="test",
                    source="pope",
                )
