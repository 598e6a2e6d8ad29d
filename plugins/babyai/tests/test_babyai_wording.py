from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

import pytest
from jepa_vl_babyai.captions import caption, meaning
from jepa_vl_babyai.events import Clip
from jepa_vl_babyai.meaning import Meaning
from jepa_vl_babyai.reading import read
from jepa_vl_babyai.settings import COLOURS, VERBS
from jepa_vl_babyai.wording import DEEDS, FRAMES, SUBJECTS, WAYS, say

KINDS = {"ball": "ball|sphere|orb", "box": "box|crate|chest", "key": "key", "door": "door"}
SHADES = {"grey": "grey|gray", "purple": "purple|violet"}


def meanings() -> Iterator[Meaning]:
    """Every verb with every thing, every turn, and a few things beside."""
    for verb, kinds in VERBS.items():
        for kind in kinds:
            for colour in COLOURS:
                besides = [("grey", "box"), ("red", "ball")] if verb == "put next to" else [None]
                for beside in besides:
                    for turn in ("", "left", "right"):
                        yield Meaning(verb, (colour, kind), beside, turn)


def names(text: str, thing: tuple[str, str]) -> bool:
    colour, kind = thing
    return re.search(rf"\bthe ({SHADES.get(colour, colour)}) ({KINDS[kind]})\b", text) is not None


def test_the_text_form_of_a_meaning_is_the_group_of_its_captions(clips: list[Clip]) -> None:
    for clip in clips:
        assert str(Meaning.parse(meaning(clip))) == meaning(clip)
        assert Meaning.parse(meaning(clip)).event_class == clip.event.event_class


def test_way_zero_is_the_usual_first_saying(clips: list[Clip]) -> None:
    for clip in clips:
        assert say(Meaning.parse(meaning(clip)), 0) == caption(clip, 0)


def test_no_two_ways_or_meanings_give_the_same_text() -> None:
    said: dict[str, Meaning] = {}
    n = 0
    for what in meanings():
        for way in range(WAYS):
            said[say(what, way)] = what
            n += 1
    assert len(said) == n


def test_what_is_said_is_read_back() -> None:
    for what in meanings():
        for way in range(0, WAYS, 1 if what.thing[0] in ("grey", "red") else 17):
            assert read(say(what, way)) == what, say(what, way)


def test_usual_sayings_are_read_too(clips: list[Clip]) -> None:
    for clip in clips:
        for choice in range(6):
            assert str(read(caption(clip, choice))) == meaning(clip)


def test_parts_that_never_stood_together_are_read_without_commas_and_in_capitals() -> None:
    assert read("It is the GRAY orb that the player scoops up after turning left .") == Meaning(
        "pick up", ("grey", "ball"), turn="left"
    )
    assert read("someone goes to the violet chest turning right") == Meaning(
        "go to", ("purple", "box"), turn="right"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the agent",
        "the agent picks up the red red ball",
        "the agent picks up the red door next to the blue ball",
        "the red ball picks up the agent",
        "the agent turns up and opens the red door",
        "the agent opens the red door opens the red door",
    ],
)
def test_what_is_no_sentence_is_not_read(text: str) -> None:
    assert read(text) is None


def test_every_text_is_clean_and_names_its_things_turn_and_subject() -> None:
    for what in meanings():
        for way in range(WAYS):
            text = say(what, way)
            assert re.fullmatch(r"[a-z]+(,? [a-z]+)*", text), text
            assert names(text, what.thing), text
            assert what.beside is None or names(text, what.beside), text
            assert [word for word in ("left", "right") if re.search(rf"\b{word}\b(?! next)", text)] == [
                t for t in (what.turn,) if t
            ], text
            assert sum(subject in text for subject in SUBJECTS) == 1, text
            repeated = re.search(r"\b(\w+) \1\b", text)
            assert repeated is None, text


def test_a_few_ways_have_every_frame_subject_and_deed_already() -> None:
    for deeds in DEEDS.values():
        assert len({way % len(FRAMES) for way in range(7)}) == len(FRAMES)
        assert len({way % len(deeds) for way in range(7)}) == len(deeds)


def test_verbs_agree_with_their_frame() -> None:
    """The forms of a deed differ where English has different ones."""
    forms: dict[str, set[str]] = defaultdict(set)
    for verb, deeds in DEEDS.items():
        for deed in deeds:
            assert deed.present.endswith("s")
            assert deed.ing.endswith("ing")
            assert not deed.present.endswith("hs")
            assert deed.past != deed.present
            assert "{it}" in deed.rest
            assert ("{other}" in deed.rest) == (verb == "put next to")
            forms[verb].add(deed.forms()["does"])
    assert all(len(forms[verb]) == len(DEEDS[verb]) for verb in DEEDS)
