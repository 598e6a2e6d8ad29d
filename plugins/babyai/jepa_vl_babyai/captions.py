"""A clip in words: its event's class name, a caption of what happens, and a description of what is there."""

from __future__ import annotations

from collections import Counter

from jepa_vl_babyai.events import Clip, Thing
from jepa_vl_babyai.meaning import Meaning

PLURAL = {"ball": "balls", "box": "boxes", "key": "keys", "door": "doors"}
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

#: Ways to say a verb; a clip always gets the same one.
SAYINGS: dict[str, tuple[str, ...]] = {
    "go to": ("goes to {it}", "walks up to {it}", "approaches {it}"),
    "pick up": ("picks up {it}", "takes {it}", "lifts {it}"),
    "drop": ("drops {it}", "puts down {it}", "lets go of {it}"),
    "put next to": ("puts {it} next to {other}", "places {it} beside {other}", "sets {it} down by {other}"),
    "open": ("opens {it}",),
    "close": ("closes {it}", "shuts {it}"),
}


def the(thing: Thing) -> str:
    """Name a thing: ``the red ball``."""
    return f"the {thing[0]} {thing[1]}"


def class_name(clip: Clip) -> str:
    """Name the event class: ``pick up the red ball``, ``put the red ball next to something``."""
    event = clip.event
    if event.verb == "put next to":
        return f"put {the(event.thing)} next to something"
    return f"{event.verb} {the(event.thing)}"


def caption(clip: Clip, choice: int) -> str:
    """Say what happens; ``choice``, any number, picks among ways to say the same."""
    event = clip.event
    sayings = SAYINGS[event.verb]
    other = the(event.beside) if event.beside else ""
    deed = sayings[choice % len(sayings)].format(it=the(event.thing), other=other)
    if not clip.turn:
        return f"the agent {deed}"
    if event.verb == "go to":  # its turn is the end of the way
        return f"the agent {deed}, turning {clip.turn}"
    return f"the agent turns {clip.turn} and {deed}"


def scene(clip: Clip) -> str:
    """Say what lies in sight at the start: ``two red balls, a grey door``; the same things in one order."""
    seen = Counter(clip.things())
    parts = []
    for (colour, kind), n in sorted(seen.items(), key=lambda item: (item[0][1], item[0][0])):
        many = NUMBERS[n] if n < len(NUMBERS) else str(n)
        parts.append(f"a {colour} {kind}" if n == 1 else f"{many} {colour} {PLURAL[kind]}")
    return ", ".join(parts) or "nothing"


def meaning(clip: Clip) -> str:
    """Return what two captions share exactly when they say the same."""
    event = clip.event
    return str(Meaning(event.verb, event.thing, event.beside, clip.turn))
