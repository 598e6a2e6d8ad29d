"""Every policy at every rate on every stream: what is decided, and which texts are needed to judge it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from jepa_vl.streaming.base import Decode, EmbeddingStream, Policy
from jepa_vl.streaming.evaluation.quality import NONE, Floats, Ints, match, timed

#: Number of the text of a decode on the s-th stream; equal numbers for equal texts.
TextOf = Callable[[int, Decode], int]


@dataclass(frozen=True)
class Decided:
    """One policy at one rate: what each of A annotations and each of S streams has of it.

    Attributes:
        rate: Decodes a second that were asked for.
        text: Number of the text that each annotation is compared with ``[A]``; `NONE` where there is none.
        latency: Seconds from each annotation to the first decision about it ``[A]``; NaN where none is.
        calls: Decodes ``[S]``.
        about: Decodes that lie within the tolerance of an annotation ``[S]``.
        seconds: Computing time of the decisions ``[S]``.
    """

    rate: float
    text: Ints
    latency: Floats
    calls: Floats
    about: Floats
    seconds: Floats

    @property
    def found(self) -> Floats:
        """Whether a decode lies within the tolerance of each annotation ``[A]``."""
        return (~np.isnan(self.latency)).astype(np.float64)


def decide(
    policy: Policy,
    streams: Sequence[EmbeddingStream],
    rates: Sequence[float],
    *,
    tolerance: float,
    text_of: TextOf,
) -> list[Decided]:
    """Run a policy on S streams at R rates.

    Args:
        policy: Is asked.
        streams: With their events: the annotations, A over all streams, in this order.
        rates: In Hz.
        tolerance: How far from an annotation a decode may lie to be about it, in seconds.
        text_of: Called for each decode that an annotation is compared with, and no other: a text costs more
            than a decision.
    """
    found = []
    for rate in rates:
        texts: list[int] = []
        matches, clock = [], []
        for s, stream in enumerate(streams):
            decodes, took = timed(policy, stream, rate)
            each = match(decodes, stream.events, tolerance=tolerance)
            number = {i: text_of(s, decodes[i]) for i in set(each.nearest.tolist()) - {NONE}}
            texts += [number.get(i, NONE) for i in each.nearest.tolist()]
            matches.append(each)
            clock.append(took)
        found.append(
            Decided(
                rate=rate,
                text=np.array(texts, dtype=np.int64),
                latency=np.concatenate([m.latency for m in matches]),
                calls=np.array([m.calls for m in matches], dtype=np.float64),
                about=np.array([m.about for m in matches], dtype=np.float64),
                seconds=np.array(clock),
            )
        )
    return found
