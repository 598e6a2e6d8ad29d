"""CLEVR: questions about rendered shapes that need several steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from jepa_vl.readers.annotation import Annotation, read_json
from jepa_vl.readers.base import About, Reader
from jepa_vl.sample import Sample

VERSION = "CLEVR_val_questions.json (info, questions: image_filename, question, answer, program, split)"
ANSWERS = (
    *("yes", "no"),
    *(str(n) for n in range(11)),
    *("cube", "cylinder", "sphere"),
    *("large", "small"),
    *("metal", "rubber"),
    *("blue", "brown", "cyan", "gray", "green", "purple", "red", "yellow"),
)
#: The last step of the program → the kind of question, as the CLEVR paper reports them.
KINDS = {
    "exist": "exist",
    "count": "count",
    **dict.fromkeys(("equal_integer", "less_than", "greater_than"), "compare_numbers"),
    **{f"query_{what}": "query_attribute" for what in ("color", "material", "shape", "size")},
    **{f"equal_{what}": "compare_attribute" for what in ("color", "material", "shape", "size")},
}


class CLEVR(Reader):
    """A sample a question of the validation images; the candidates are the 28 answers there are.

    Args:
        annotations: CLEVR_val_questions.json.
    """

    about: ClassVar[About] = About(
        title="CLEVR v1.0",
        task="vqa",
        split="val",
        metric="accuracy",
        homepage="https://cs.stanford.edu/people/jcjohns/clevr/",
        licence="CC BY 4.0",
        expected={"val": 149991},
        assumptions=("The paper names no split; the test answers are not public, so it must be val.",),
    )
    shares_candidates: ClassVar[bool] = True

    def __init__(self, *, annotations: str) -> None:
        self.annotations = annotations

    def samples(self) -> Iterator[Sample]:
        """Yield one sample a question."""
        for entry in read_json(self.annotations, VERSION).at("questions").entries():
            if entry.text("split") != "val":
                raise entry.at("split").wrong(f"found a question of '{entry.text('split')}'")
            image = entry.text("image_filename")
            yield Sample(
                id=f"clevr/{entry.text('question_index')}",
                media=image,
                query=entry.text("question"),
                target=entry.at("answer").one_of(entry.text("answer"), ANSWERS),
                candidates=ANSWERS,
                kind=f"clevr/{_kind(entry.at('program'))}",
                episode=image,
                split="val",
                source="clevr",
            )


def _kind(program: Annotation) -> str:
    steps = program.entries()
    if not steps:
        raise program.wrong("found no step")
    return KINDS[steps[-1].at("function").one_of(steps[-1].text("function"), KINDS)]
