"""EPIC-KITCHENS-100: what a cook does, as verb, noun or action, seen or about to be seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from jepa_vl.errors import RecipeError
from jepa_vl.readers.annotation import Annotation, read_csv
from jepa_vl.readers.base import About, Reader
from jepa_vl.sample import Sample

VERSION = "EPIC_100_validation.csv of EPIC-KITCHENS-100"
COLUMNS = (
    "narration_id",
    "participant_id",
    "video_id",
    "start_timestamp",
    "stop_timestamp",
    "verb_class",
    "noun_class",
)
CLASSES_VERSION = "EPIC_100_verb_classes.csv or EPIC_100_noun_classes.csv of EPIC-KITCHENS-100"


class EpicKitchens100(Reader):
    """EPIC-KITCHENS-100, one action segment a sample.

    With ``anticipation`` the clip ends that many seconds before the action begins.

    Args:
        annotations: ``EPIC_100_validation.csv``.
        verbs: ``EPIC_100_verb_classes.csv``: the names of the 97 verb classes.
        nouns: ``EPIC_100_noun_classes.csv``: the names of the 300 noun classes.
        label: What the class is: the verb, the noun, or both.
        anticipation: Seconds between the end of the clip and the beginning of the action; the benchmark
            uses 1. Without it, the action itself is seen.
        observed: Seconds seen before that.
        split: Name of the split in the manifest.
    """

    about = About(
        title="EPIC-KITCHENS-100",
        task="classification, anticipation",
        split="validation",
        metric="top-1 accuracy; with anticipation mean top-5 recall over classes at 1 s",
        homepage="https://github.com/epic-kitchens/epic-kitchens-100-annotations",
        licence="CC BY-NC 4.0",
        expected={"val": 9_668},
        assumptions=(
            "The paper does not say whether its classes are verbs, nouns or actions; the default is actions, "
            "which are the verb's and the noun's name together.",
            "A class is called by its key in the official list of classes, in words: 'put-into' is 'put "
            "into' and 'board:chopping' is 'chopping board'.",
            "How much is seen before the gap is not stated for anticipation; the default is 4 seconds. "
            "Actions that begin before the gap has passed have nothing to be seen, and are left out.",
            "Videos lie as the official download script puts them: P01/videos/P01_11.MP4.",
        ),
    )

    def __init__(
        self,
        *,
        annotations: str,
        verbs: str,
        nouns: str,
        label: Literal["action", "verb", "noun"] = "action",
        anticipation: float | None = None,
        observed: float = 4.0,
        split: str = "val",
    ) -> None:
        if anticipation is not None and anticipation < 0:
            raise RecipeError(f"anticipation ({anticipation:g}) must not be negative; the benchmark uses 1")
        if observed <= 0:
            raise RecipeError(f"observed ({observed:g}) must be above 0")
        self.annotations = annotations
        self.verbs = verbs
        self.nouns = nouns
        self.label = label
        self.anticipation = anticipation
        self.observed = observed
        self.split = split

    def expected(self) -> dict[str, int]:
        """The whole validation set, unless some actions come too early to be anticipated."""
        return self.about.expected if self.anticipation is None else {}

    def samples(self) -> Iterator[Sample]:
        """Yield one sample a segment."""
        verbs, nouns = _classes(self.verbs), _classes(self.nouns)
        kind = None if self.anticipation is None else f"anticipation/{self.anticipation:g}s"
        for row in read_csv(self.annotations, VERSION, COLUMNS):
            verb, noun = _name(row, "verb_class", verbs), _name(row, "noun_class", nouns)
            name = {"verb": verb, "noun": noun, "action": f"{verb} {noun}"}[self.label]
            start, end = row.seconds("start_timestamp"), row.seconds("stop_timestamp")
            if self.anticipation is not None:
                start, end = start - self.anticipation - self.observed, start - self.anticipation
                if end <= 0:
                    continue
            video = row.text("video_id")
            yield Sample(
                id=f"epic_kitchens_100/{row.text('narration_id')}",
                media=f"{row.text('participant_id')}/videos/{video}.MP4",
                start=max(start, 0.0),
                end=end,
                target=name,
                label=name,
                episode=video,
                split=self.split,
                source="epic_kitchens_100",
                kind=kind,
            )


def _classes(path: str) -> dict[str, str]:
    return {
        row.text("id"): _in_words(row.text("key")) for row in read_csv(path, CLASSES_VERSION, ("id", "key"))
    }


def _in_words(key: str) -> str:
    return " ".join(reversed(key.split(":"))).replace("-", " ")


def _name(row: Annotation, column: str, names: dict[str, str]) -> str:
    return names[row.at(column).one_of(row.text(column), names)]
