from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from jepa_vl_babyai import captions, questions
from jepa_vl_babyai.captions import caption, class_name, meaning
from jepa_vl_babyai.events import Clip, Event
from jepa_vl_babyai.settings import COLOURS

NOWHERE = np.full((4, 8, 8, 3), (1, 0, 0), dtype=np.uint8)


def clip_of(
    verb: str, colour: str, kind: str, *, turn: str = "", beside: tuple[str, str] | None = None
) -> Clip:
    return Clip(Event(verb, (colour, kind), 0, beside=beside), turn, NOWHERE, ((4, 4, 0),) * 4)


@pytest.mark.parametrize(
    ("clip", "said", "label"),
    [
        (clip_of("pick up", "red", "ball"), "the agent picks up the red ball", "pick up the red ball"),
        (
            clip_of("go to", "blue", "door", turn="left"),
            "the agent goes to the blue door, turning left",
            "go to the blue door",
        ),
        (
            clip_of("put next to", "red", "box", turn="right", beside=("green", "key")),
            "the agent turns right and puts the red box next to the green key",
            "put the red box next to something",
        ),
        (clip_of("close", "grey", "door"), "the agent closes the grey door", "close the grey door"),
    ],
)
def test_wording(clip: Clip, said: str, label: str) -> None:
    assert caption(clip, 0) == said
    assert class_name(clip) == label


def test_one_caption_never_has_two_meanings_nor_one_meaning_two_classes(clips: list[Clip]) -> None:
    meanings: dict[str, str] = {}
    classes: dict[str, str] = {}
    for clip in clips:
        for choice in range(6):
            assert meanings.setdefault(caption(clip, choice), meaning(clip)) == meaning(clip)
        assert classes.setdefault(meaning(clip), class_name(clip)) == class_name(clip)


def ground_truth(clip: Clip) -> Counter[tuple[str, str]]:
    """What lies in the first frame, read from MiniGrid's codes."""
    kinds = {4: "door", 5: "key", 6: "ball", 7: "box"}
    colours = {0: "red", 1: "green", 2: "blue", 3: "purple", 4: "yellow", 5: "grey"}
    cells = clip.views[0].reshape(-1, 3)
    return Counter((colours[int(c)], kinds[int(k)]) for k, c, _ in cells if int(k) in kinds)


def test_counts_are_those_of_the_first_frame(clips: list[Clip]) -> None:
    rng = np.random.default_rng(0)
    asked = Counter()
    for clip in clips:
        question = questions.count(clip, rng)
        assert question is not None
        what = question.query.removeprefix("how many ").removesuffix(" are there at the start?")
        there = ground_truth(clip)
        if what.endswith(" things"):
            number = sum(n for (colour, _), n in there.items() if colour == what.removesuffix(" things"))
        else:
            number = sum(n for (_, kind), n in there.items() if captions.PLURAL[kind] == what)
        assert question.answer == ("zero", "one", "two", "three", "four", "five")[number]
        asked[question.answer] += 1
    assert len(asked) == 6
    assert max(asked.values()) < 0.4 * asked.total()


def test_a_scene_names_everything_in_the_first_frame_and_nothing_else(clips: list[Clip]) -> None:
    numbers = {"a": 1} | {word: n for n, word in enumerate(captions.NUMBERS)}
    singular = {many: one for one, many in captions.PLURAL.items()}
    for clip in clips:
        said = [part.split() for part in captions.scene(clip).split(", ") if part != "nothing"]
        told = {(colour, singular.get(kind, kind)): numbers[n] for n, colour, kind in said}
        assert told == ground_truth(clip)
        assert len(said) == len(told), "a thing is named twice"


@pytest.mark.parametrize("way", questions.PRESENCE)
@pytest.mark.parametrize("yes", [True, False])
def test_presence_is_true_of_the_first_frame(clips: list[Clip], way: str, yes: bool) -> None:
    rng = np.random.default_rng(0)
    popular = questions.frequent(clips)
    asked = 0
    for clip in clips:
        question = questions.presence(clip, way, yes=yes, popular=popular, rng=rng)
        if question is None:
            continue
        asked += 1
        colour, kind = question.query.removeprefix("is there a ").removesuffix(" at the start?").split()
        there = ground_truth(clip)
        assert ((colour, kind) in there) == yes == (question.answer == "yes")
        if way == "popular":
            assert (colour, kind) in popular
        if way == "adversarial" and not yes:
            assert colour in {c for c, _ in there}
            assert kind in {k for _, k in there}
    assert asked > 0.5 * len(clips)


def test_popular_things_are_the_ones_most_clips_show(clips: list[Clip]) -> None:
    popular = questions.frequent(clips)
    shown = Counter(name for clip in clips for name in set(ground_truth(clip)) if name[1] != "door")
    least = min(shown[name] for name in popular)
    assert all(shown[name] <= least for name in questions.NAMES if name not in popular)


def test_attribute_questions_name_verb_and_kind_but_not_the_colour(clips: list[Clip]) -> None:
    for clip in clips:
        question = questions.attribute(clip)
        assert question.answer == clip.event.thing[0]
        assert clip.event.thing[1] in question.query
        assert not set(COLOURS) & set(question.query.split())
