"""What a caption says, apart from how it says it."""

from __future__ import annotations

from dataclasses import dataclass

from jepa_vl_babyai.events import Thing
from jepa_vl_babyai.settings import EventClass


@dataclass(frozen=True)
class Meaning:
    """What happens in a clip; its text form is the ``group`` of the clip's caption.

    Attributes:
        verb: A verb of `settings.VERBS`.
        thing: Colour and kind of what it is done to.
        beside: What the thing is put next to.
        turn: ``left`` or ``right`` where the agent turns right before; else empty.
    """

    verb: str
    thing: Thing
    beside: Thing | None = None
    turn: str = ""

    def __str__(self) -> str:
        return "|".join((self.verb, *self.thing, *(self.beside or ()), self.turn))

    @classmethod
    def parse(cls, group: str) -> Meaning:
        """Read the text form back."""
        verb, colour, kind, *beside, turn = group.split("|")
        return cls(verb, (colour, kind), (beside[0], beside[1]) if beside else None, turn)

    @property
    def event_class(self) -> EventClass:
        """Verb, colour and kind, which the class name says."""
        return self.verb, *self.thing
