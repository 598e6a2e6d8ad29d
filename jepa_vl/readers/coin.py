"""COIN: instruction videos of 180 tasks, cut in steps; which task, which step, which step comes next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from jepa_vl.readers.annotation import Annotation, read_json
from jepa_vl.readers.base import About, Reader
from jepa_vl.sample import Sample

VERSION = "COIN.json: {database: {video id: {class, recipe_type, subset, annotation: [{label, segment}]}}}"
SPLITS = {"training": "train", "testing": "test"}
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z]|\b)|[A-Z]?[a-z]+|\d+|[A-Z]+")


class Coin(Reader):
    """COIN, one video (task) or one step of it (step, next step) a sample.

    Args:
        annotations: ``COIN.json``.
        mode: ``task``: the whole video, labelled with its task. ``step``: a step, labelled with what is done.
            ``next_step``: a step, labelled with the one that follows in the video.
        subset: Which official subset is read.
    """

    about = About(
        title="COIN",
        task="classification, anticipation",
        split="testing",
        metric="top-1 accuracy over 778 steps or 180 tasks; accuracy of the next step",
        homepage="https://github.com/coin-dataset/annotations",
        licence="research only; the videos are YouTube's",
        expected={"test": 2_797},
        assumptions=(
            "The number expected is that of videos, so it is compared with mode `task` alone.",
            "A task is called by its class in words: 'ReplaceCDDriveWithSSD' is 'replace CD drive with SSD'.",
            "For the task the whole video is seen, not only its annotated part.",
            "For the next step, the clip is the step before it, from beginning to end, as the paper does not "
            "say what is seen. The last step of a video has no next one.",
            "Steps that end before they begin are left out.",
            "Videos lie as the official script puts them: 131/LtRSn-ntcLY.mp4, by the number of the task.",
        ),
    )

    def __init__(
        self,
        *,
        annotations: str,
        mode: Literal["step", "task", "next_step"] = "step",
        subset: Literal["testing", "training"] = "testing",
    ) -> None:
        self.annotations = annotations
        self.mode = mode
        self.subset = subset

    def expected(self) -> dict[str, int]:
        """Videos of the test set; the number of steps is not published for each subset."""
        return self.about.expected if self.mode == "task" and self.subset == "testing" else {}

    def samples(self) -> Iterator[Sample]:
        """Yield one sample a video, or one a step."""
        for key, video in read_json(self.annotations, VERSION).at("database").items():
            if video.at("subset").one_of(video.text("subset"), SPLITS) == self.subset:
                yield from self._of_video(key, video)

    def _of_video(self, key: str, video: Annotation) -> Iterator[Sample]:
        media = f"{video.text('recipe_type')}/{key}.mp4"
        split = SPLITS[self.subset]
        if self.mode == "task":
            name = _in_words(video.text("class"))
            yield Sample(
                id=f"coin/{key}",
                media=media,
                target=name,
                label=name,
                episode=key,
                split=split,
                source="coin",
                kind="task",
            )
            return
        steps = video.at("annotation").entries()
        named = [step.text("label") for step in steps]
        after = named if self.mode == "step" else named[1:]
        for number, (step, name) in enumerate(zip(steps, after, strict=False), start=1):
            start, end = step.span("segment")
            if end <= start:
                continue
            yield Sample(
                id=f"coin/{key}/{number}",
                media=media,
                start=start,
                end=end,
                target=name,
                label=name,
                episode=key,
                split=split,
                source="coin",
                kind="step" if self.mode == "step" else "anticipation/next step",
            )


def _in_words(name: str) -> str:
    words = _WORDS.findall(name)
    return " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words)
