"""Reads what a caption says, whatever the wording: the inverse of `captions.caption` and `wording.say`."""

from __future__ import annotations

import re
from functools import cache, lru_cache

from jepa_vl_babyai.captions import SAYINGS
from jepa_vl_babyai.meaning import Meaning
from jepa_vl_babyai.settings import COLOURS, PORTABLE
from jepa_vl_babyai.wording import NOUNS, SHADES, SUBJECTS, sentences

_COLOUR = {word: colour for colour in COLOURS for word in SHADES.get(colour, (colour,))}
_KIND = {word: kind for kind in (*PORTABLE, "door") for word in NOUNS.get(kind, (kind,))}
_OPEN = {
    "who": "(?:" + "|".join(SUBJECTS) + ")",
    "it": f"the (?P<colour>{'|'.join(_COLOUR)}) (?P<kind>{'|'.join(_KIND)})",
    "other": f"the (?P<colour2>{'|'.join(_COLOUR)}) (?P<kind2>{'|'.join(_KIND)})",
    "turn": "(?P<turn>left|right)",
}


@lru_cache(maxsize=4096)
def read(caption: str) -> Meaning | None:
    """Return what a caption says; None where it is no sentence of this world.

    Subjects, frames, verbs and nouns may be put together as they never were. Case and punctuation do not
    matter.
    """
    text = _words(caption)
    for verb, pattern in _patterns():
        found = pattern.fullmatch(text)
        if found:
            part = found.groupdict()
            beside = (_COLOUR[part["colour2"]], _KIND[part["kind2"]]) if part.get("colour2") else None
            return Meaning(verb, (_COLOUR[part["colour"]], _KIND[part["kind"]]), beside, part.get("turn", ""))
    return None


def _words(text: str) -> str:
    return " ".join(re.findall("[a-z]+", text.lower()))


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    found = []
    for verb, sayings in SAYINGS.items():
        plain = [f"{{who}} {deed}" for deed in sayings]
        turned = [
            f"{said}, turning {{turn}}"
            if verb == "go to"
            else said.replace("{who}", "{who} turns {turn} and")
            for said in plain
        ]
        for sentence in dict.fromkeys([*plain, *turned, *sentences(verb)]):
            found.append((verb, re.compile(sentence.replace(",", "").format(**_OPEN))))
    return found
