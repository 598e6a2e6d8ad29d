"""`Event`: a text that was said of a stream, and when."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """What a stream said. All but ``latency`` are seconds of the stream.

    Attributes:
        time: What the text is about.
        start: Where the stretch that the text stands for begins.
        end: Where it ends, as far as is known when the text is said.
        text: What is said.
        decided: When the decision to decode was made.
        latency: Seconds from ``time`` until the text was there: from then to the decision, in time of the
            stream, and the computing after it.
        score: The trigger's, where the policy has one: how much the meaning had changed.
    """

    time: float
    start: float
    end: float
    text: str
    decided: float
    latency: float
    score: float | None = None
