"""WorldPrediction-WM: which of four clips leads from one state of the world to another."""

from __future__ import annotations

from collections.abc import Iterator

from jepa_vl.readers.annotation import Annotation, read_jsonl
from jepa_vl.readers.base import About, Reader
from jepa_vl.sample import CHOICE, Sample

VERSION = (
    "JSON lines {uid, states, actions: [{media, start, end}, …], answer}: states is a folder of two images "
    "or a clip, answer counts the actions from 0"
)
CHOICES = 4


class WorldPredictionWM(Reader):
    """WorldPrediction-WM, one question and its four clips as five samples.

    Args:
        annotations: JSON lines with the four clips of each question and the right one's number.
        split: Name of the split in the manifest.
    """

    about = About(
        title="WorldPrediction-WM",
        task="world modelling",
        split="test",
        metric="accuracy, four choices",
        homepage="https://github.com/facebookresearch/WorldPrediction",
        licence="see its repository; the videos are those of COIN, CrossTask, Ego-Exo4D and others",
        assumptions=(
            "The official files name segments of other data sets (`segment|COIN|U9bZX2wABWQ_000`), whose "
            'videos each user cuts; what is read here is the cut layout: {"uid": "7", "states": "states/7", '
            '"actions": [{"media": "clips/a.mp4", "start": 1.5, "end": 4.0}, …], "answer": 2}, where '
            "start and end may be left out.",
            "The states are two images in a folder, the initial one first by name. Frames are drawn from it "
            "evenly, so each image is seen several times, as the paper duplicates them.",
            "The number of questions is not stated where the files are described; about 825 are reported.",
        ),
    )

    def __init__(self, *, annotations: str, split: str = "test") -> None:
        self.annotations = annotations
        self.split = split

    def samples(self) -> Iterator[Sample]:
        """Yield the four choices, then the question, of each item."""
        for item in read_jsonl(self.annotations, VERSION):
            uid = item.text("uid")
            actions = item.at("actions").entries()
            if len(actions) != CHOICES:
                raise item.at("actions").wrong(f"found {len(actions)} actions, expected {CHOICES}")
            choices = tuple(f"worldprediction_wm/{uid}/{n}" for n in range(CHOICES))
            answer = item.number("answer")
            if answer not in range(CHOICES):
                raise item.at("answer").wrong(f"found {answer:g}, expected 0 to {CHOICES - 1}")
            for choice, action in zip(choices, actions, strict=True):
                yield Sample(
                    id=choice,
                    media=action.text("media"),
                    start=_optional(action, "start"),
                    end=_optional(action, "end"),
                    target="",
                    episode=uid,
                    split=self.split,
                    source="worldprediction_wm",
                    kind=CHOICE,
                )
            yield Sample(
                id=f"worldprediction_wm/{uid}",
                media=item.text("states"),
                target="",
                choices=choices,
                answer=choices[int(answer)],
                episode=uid,
                split=self.split,
                source="worldprediction_wm",
            )


def _optional(action: Annotation, key: str) -> float | None:
    return action.number(key) if action.has(key) else None
