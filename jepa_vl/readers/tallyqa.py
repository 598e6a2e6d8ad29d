"""TallyQA: how many of something are in an image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from jepa_vl.readers.annotation import read_json
from jepa_vl.readers.base import About, Reader
from jepa_vl.sample import Sample

VERSION = "test.json of TallyQA (a list of objects with image, question, answer, issimple, question_id)"
COUNTS = tuple(str(n) for n in range(16))


class TallyQA(Reader):
    """A sample a question; the candidates are the numbers from 0 to 15.

    Args:
        annotations: test.json.
    """

    about: ClassVar[About] = About(
        title="TallyQA",
        task="vqa",
        split="test",
        metric="accuracy: the mean of simple and complex questions, weighted by their number",
        homepage="https://github.com/manoja328/TallyQA_dataset",
        licence="not stated in the repository; images are those of COCO and Visual Genome",
        expected={"test": 38589},
        assumptions=(
            "The paper does not list the candidates; 0 to 15 are all answers of the data set, in digits.",
            "Weighting simple and complex by their number is the accuracy over all questions.",
        ),
    )

    def __init__(self, *, annotations: str) -> None:
        self.annotations = annotations

    def samples(self) -> Iterator[Sample]:
        """Yield one sample a question."""
        for entry in read_json(self.annotations, VERSION).entries():
            image = entry.text("image")
            simple = entry.at("issimple")
            if not isinstance(simple.value, bool):
                raise simple.wrong(f"found {simple.value}, expected true or false")
            answer = entry.text("answer")
            if answer not in COUNTS:
                raise entry.at("answer").wrong(f"found '{answer}', expected a number from 0 to 15")
            yield Sample(
                id=f"tallyqa/{entry.text('question_id')}",
                media=image,
                query=entry.text("question"),
                target=answer,
                candidates=COUNTS,
                kind="tallyqa/simple" if simple.value else "tallyqa/complex",
                episode=image,
                split="test",
                source="tallyqa",
            )
