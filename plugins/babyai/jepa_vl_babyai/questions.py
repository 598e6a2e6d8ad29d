"""Questions about a clip, with exact answers: attribute, count, and presence as POPE asks for it.

POPE (Li et al. 2023, "Evaluating Object Hallucination in Large Vision-Language Models") asks "is there …?"
with as many noes as yeses, and takes what is absent at random, among the most frequent things, or among
what goes together with things that are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jepa_vl_babyai.captions import NUMBERS, PLURAL, the
from jepa_vl_babyai.events import Clip, Thing
from jepa_vl_babyai.settings import COLOURS, PORTABLE

COUNTED = NUMBERS[:6]
PRESENCE = ("random", "popular", "adversarial")
NAMES: tuple[Thing, ...] = tuple((colour, kind) for colour in COLOURS for kind in PORTABLE)

_DONE = {
    "go to": "that the agent goes to",
    "pick up": "that is picked up",
    "drop": "that is dropped",
    "put next to": "that is put next to something",
    "open": "that is opened",
    "close": "that is closed",
}


@dataclass(frozen=True)
class Question:
    """A query, the answers to choose from, and the right one; ``kind`` is what is reported apart."""

    kind: str
    query: str
    answer: str
    candidates: tuple[str, ...]


def attribute(clip: Clip) -> Question:
    """Ask for the colour of what something happens to."""
    colour, kind = clip.event.thing
    return Question("attribute", f"what colour is the {kind} {_DONE[clip.event.verb]}?", colour, COLOURS)


#: How likely a thing is asked about when there are that many of it; small numbers are common anyway.
_COUNT_WEIGHT = np.array([0.5, 0.5, 0.8, 1.8, 4.0, 8.0])


def count(clip: Clip, rng: np.random.Generator) -> Question | None:
    """Ask how many balls, boxes, keys, doors or red things there are at the start, up to five."""
    seen = clip.things()
    numbers = {PLURAL[kind]: sum(k == kind for _, k in seen) for kind in PLURAL}
    numbers |= {f"{colour} things": sum(c == colour for c, _ in seen) for colour in COLOURS}
    possible = [(what, n) for what, n in numbers.items() if n < len(COUNTED)]
    if not possible:
        return None
    weights = _COUNT_WEIGHT[[n for _, n in possible]]
    what, n = possible[rng.choice(len(possible), p=weights / weights.sum())]
    return Question("count", f"how many {what} are there at the start?", COUNTED[n], COUNTED)


def frequent(clips: Sequence[Clip], most: int = 6) -> tuple[Thing, ...]:
    """Return the things that lie in sight in most clips, the most frequent first."""
    frequency = Counter(name for clip in clips for name in set(clip.things()))
    return tuple(sorted(NAMES, key=lambda name: (-frequency[name], name)))[:most]


def presence(
    clip: Clip, way: str, *, yes: bool, popular: Sequence[Thing], rng: np.random.Generator
) -> Question | None:
    """Ask whether something is there at the start.

    Args:
        clip: What is asked about.
        way: How something absent is chosen: ``random``, ``popular`` or ``adversarial`` (its colour and its
            kind are there, on different things).
        yes: Whether it is there; None is returned where that cannot be had.
        popular: What `frequent` returns for the split; asked about with either answer, so that the
            question gives nothing away.
        rng: Chooses among what is possible.
    """
    there = set(clip.things())
    among = popular if way == "popular" else NAMES
    choices = [name for name in among if (name in there) == yes]
    if way == "adversarial" and not yes:
        colours, kinds = {c for c, _ in there}, {k for _, k in there}
        choices = [(c, k) for c, k in choices if c in colours and k in kinds]
    if not choices:
        return None
    name = the(choices[rng.integers(len(choices))]).replace("the", "a", 1)
    answer = "yes" if yes else "no"
    return Question(f"presence/{way}", f"is there {name} at the start?", answer, ("yes", "no"))
