"""Many ways to say what happens: word order, tense, subject, verb and nouns vary, the meaning does not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from jepa_vl_babyai.events import Thing
from jepa_vl_babyai.meaning import Meaning

#: Raised by one whenever a way says something else, so that manifests written before are not reused.
WORDING_VERSION = 1

SUBJECTS = ("the agent", "the robot", "someone", "the player", "the character")
NOUNS = {"ball": ("ball", "sphere", "orb"), "box": ("box", "crate", "chest")}
SHADES = {"grey": ("grey", "gray"), "purple": ("purple", "violet")}


@dataclass(frozen=True)
class Deed:
    """A verb in its forms, and what follows it, with ``{it}``; ``passive`` where that is another verb."""

    present: str
    past: str
    ing: str
    participle: str
    rest: str
    passive: str = ""

    def forms(self) -> dict[str, str]:
        """Return what the fields of `Frame` stand for; ``{it}`` and ``{other}`` stay as they are."""
        gap = " ".join(self.rest.replace("{it}", "").split())
        return {
            "does": f"{self.present} {self.rest}",
            "did": f"{self.past} {self.rest}",
            "doing": f"{self.ing} {self.rest}",
            "done": self.passive or f"{self.participle} {gap}".strip(),
            "does_gap": f"{self.present} {gap}".strip(),
        }


def _regular(verb: str, rest: str) -> Deed:
    stem = verb.removesuffix("e")
    third = f"{verb}es" if verb.endswith(("ch", "sh")) else f"{verb}s"
    return Deed(third, f"{stem}ed", f"{stem}ing", f"{stem}ed", rest)


def _put(rest: str) -> Deed:
    return Deed("puts", "put", "putting", "put", rest)


def _set(rest: str) -> Deed:
    return Deed("sets", "set", "setting", "set", rest)


def _lay(rest: str) -> Deed:
    return Deed("lays", "laid", "laying", "laid", rest)


def _swing(rest: str) -> Deed:
    return Deed("swings", "swung", "swinging", "swung", rest)


#: Verb → ways to say it. None is a way to say another verb of this world.
DEEDS: dict[str, tuple[Deed, ...]] = {
    "go to": (
        Deed("goes", "went", "going", "gone", "to {it}", passive="visited"),
        _regular("approach", "{it}"),
        _regular("walk", "up to {it}"),
        Deed("comes", "came", "coming", "come", "up to {it}", passive="reached"),
    ),
    "pick up": (
        _regular("pick", "up {it}"),
        Deed("takes", "took", "taking", "taken", "{it}"),
        _regular("lift", "{it}"),
        Deed("grabs", "grabbed", "grabbing", "grabbed", "{it}"),
        _regular("collect", "{it}"),
        _regular("scoop", "up {it}"),
    ),
    "drop": (
        Deed("drops", "dropped", "dropping", "dropped", "{it}"),
        _put("down {it}"),
        _regular("release", "{it}"),
        _set("down {it}"),
        _lay("down {it}"),
        _put("{it} on the floor"),
    ),
    "put next to": (
        _put("{it} next to {other}"),
        _regular("place", "{it} beside {other}"),
        _set("{it} down alongside {other}"),
        _lay("{it} beside {other}"),
        _regular("deposit", "{it} next to {other}"),
        _regular("position", "{it} right next to {other}"),
    ),
    "open": (
        _regular("open", "{it}"),
        _regular("pull", "{it} open"),
        _swing("{it} open"),
        _regular("push", "{it} open"),
    ),
    "close": (
        Deed("closes", "closed", "closing", "closed", "{it}"),
        Deed("shuts", "shut", "shutting", "shut", "{it}"),
        _regular("pull", "{it} shut"),
        _swing("{it} closed"),
    ),
}


@dataclass(frozen=True)
class Frame:
    """A sentence: without a turn, with one before the deed, and with one that ends the way to a thing."""

    plain: str
    turned: str
    arriving: str

    def of(self, meaning: Meaning) -> str:
        """Return the sentence that fits."""
        if not meaning.turn:
            return self.plain
        return self.arriving if meaning.verb == "go to" else self.turned


FRAMES = (
    Frame("{who} {does}", "{who} turns {turn} and {does}", "{who} {does}, turning {turn}"),
    Frame("{who} {did}", "{who} turned {turn} and {did}", "{who} {did}, turning {turn} at the end"),
    Frame(
        "{it} is {done} by {who}",
        "after a turn to the {turn}, {it} is {done} by {who}",
        "{it} is {done} by {who}, with a turn to the {turn} at the end",
    ),
    Frame(
        "{who} is {doing}",
        "after turning {turn}, {who} is {doing}",
        "{who} is {doing} and turning {turn} at the end",
    ),
    Frame(
        "it is {it} that {who} {does_gap}",
        "it is {it} that {who} {does_gap} after turning {turn}",
        "it is {it} that {who} {does_gap}, turning {turn} at the end",
    ),
    Frame(
        "{it} was {done} by {who}",
        "{it} was {done} by {who} after a {turn} turn",
        "{it} was {done} by {who}, who turned {turn} at the end",
    ),
    Frame(
        "{who} can be seen {doing}",
        "{who} can be seen turning {turn} and {doing}",
        "{who} can be seen {doing} and finally turning {turn}",
    ),
)

# The numbers of frames, subjects and deeds have no common divisor: counting through all three at once meets
# every combination before one comes again.
WAYS = min(math.lcm(len(FRAMES), len(SUBJECTS), len(deeds)) for deeds in DEEDS.values())


def say(meaning: Meaning, way: int) -> str:
    """Say a meaning in one of `WAYS` ways; way 0 is the plain one, and no two ways give the same text."""
    deeds = DEEDS[meaning.verb]
    sentence = FRAMES[way % len(FRAMES)].of(meaning)
    fields = {
        "who": SUBJECTS[way % len(SUBJECTS)],
        "it": _name(meaning.thing, way),
        "other": _name(meaning.beside, way) if meaning.beside else "",
        "turn": meaning.turn,
    }
    forms = {name: form.format(**fields) for name, form in deeds[way % len(deeds)].forms().items()}
    return sentence.format(**fields, **forms)


def _name(thing: Thing, way: int) -> str:
    colour, kind = thing
    colours, kinds = SHADES.get(colour, (colour,)), NOUNS.get(kind, (kind,))
    return f"the {colours[way // 3 % len(colours)]} {kinds[way // 2 % len(kinds)]}"


def sentences(verb: str) -> Iterator[str]:
    """Yield every sentence about a verb, with the fields who, it, other and turn left open."""
    fields = {name: f"{{{name}}}" for name in ("who", "it", "other", "turn")}
    for frame in FRAMES:
        for deed in DEEDS[verb]:
            for sentence in (frame.plain, frame.arriving if verb == "go to" else frame.turned):
                yield sentence.format(**fields, **deed.forms())
