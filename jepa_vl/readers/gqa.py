"""GQA testdev-balanced: questions about real images, one short answer each."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import ClassVar

from jepa_vl.readers.annotation import Annotation, read_json
from jepa_vl.readers.base import About, Reader
from jepa_vl.sample import Sample

log = logging.getLogger(__name__)

VERSION = (
    "testdev_balanced_questions.json of GQA (question id → question, answer, imageId, isBalanced, types)"
)
ANSWERS = "a list of answers, an object of answer → number, or a GQA file of questions"
SHOWN = 5  # answers named in a message


class GQA(Reader):
    """A sample a question; all of them choose from one list of answers.

    Args:
        annotations: testdev_balanced_questions.json.
        answers: Where the list of answers comes from: train_balanced_questions.json, or a JSON list of
            answers such as trainval_label2ans.json. When left out, the answers of the split itself.
    """

    about: ClassVar[About] = About(
        title="GQA testdev-balanced",
        task="vqa",
        split="testdev_balanced",
        metric="accuracy",
        homepage="https://cs.stanford.edu/people/dorarad/gqa/",
        licence="CC BY 4.0 (questions); images are those of Visual Genome and COCO",
        expected={"testdev_balanced": 12578},
        assumptions=(
            "The paper does not say which answers are candidates; here the answers of the split, or with "
            "--answers those of a training file, which is harder.",
            "A question whose answer is not in that file is left out, and the log says how many are; "
            "multiply the accuracy by the share that is kept to count them as wrong.",
        ),
    )
    shares_candidates: ClassVar[bool] = True

    def __init__(self, *, annotations: str, answers: str | None = None) -> None:
        self.annotations = annotations
        self.answers = answers

    def expected(self) -> dict[str, int]:
        """Return the number of questions of the split; a given list of answers may leave some out."""
        return self.about.expected if self.answers is None else {}

    def samples(self) -> Iterator[Sample]:
        """Yield one sample a question."""
        questions = read_json(self.annotations, VERSION).items()
        _check_split(questions)
        if self.answers is None:
            known = dict.fromkeys(entry.text("answer") for _, entry in questions)
        else:
            known = _read_answers(self.answers)
        candidates = tuple(sorted(known))
        outside = []
        for number, entry in questions:
            image = entry.text("imageId")
            answer = entry.text("answer")
            if answer not in known:
                outside.append(answer)
                continue
            yield Sample(
                id=f"gqa/{number}",
                media=f"{image}.jpg",
                query=entry.text("question"),
                target=answer,
                candidates=candidates,
                kind=f"gqa/{entry.at('types').text('structural')}",
                episode=image,
                split="testdev_balanced",
                source="gqa",
            )
        if outside:
            log.warning(
                "%d of %d questions are left out: their answer is not in %s (%s …)",
                len(outside),
                len(questions),
                self.answers,
                ", ".join(f"'{a}'" for a in dict.fromkeys(outside[:SHOWN])),
            )


def _check_split(questions: list[tuple[str, Annotation]]) -> None:
    """Refuse the files of other splits: only the images of test and testdev have names with an n."""
    for _, entry in questions:
        if entry.at("isBalanced").value is not True:
            raise entry.at("isBalanced").wrong("found a question of the unbalanced set")
    if questions and not any(entry.text("imageId").startswith("n") for _, entry in questions):
        found = questions[0][1]
        raise found.at("imageId").wrong(
            f"found '{found.text('imageId')}', an image of train or val; names of testdev begin with n"
        )


def _read_answers(path: str) -> dict[str, None]:
    found = read_json(path, ANSWERS)
    if isinstance(found.value, list):
        if not all(isinstance(answer, str) for answer in found.value):
            raise found.wrong("found a list of other things than texts")
        answers = [answer.strip() for answer in found.value]
    else:
        items = found.items()
        questions = any(isinstance(entry.value, dict) for _, entry in items)
        answers = [entry.text("answer") if questions else answer for answer, entry in items]
    if not answers:
        raise found.wrong("found no answer")
    return dict.fromkeys(answers)
