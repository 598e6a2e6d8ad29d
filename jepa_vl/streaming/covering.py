"""Selective decoding that is never behind uniform: decode times that cover what is new in the stream best."""

from __future__ import annotations

import dataclasses

import numpy as np

from jepa_vl.streaming.base import Decode, EmbeddingStream, Policy
from jepa_vl.streaming.chosen import cells, decode_windows
from jepa_vl.streaming.coverage import coverage_of
from jepa_vl.streaming.points import unit_mean


class CoveragePolicy(Policy):
    """Chooses the windows that stand best for the whole stream.

    Ward segmentation answers another question than the protocol asks (section 4.6): an annotation is matched
    with the decode nearest in time, so the stretch that a decode stands for ends halfway to the next one and
    not at the segment's edge; Ward's distance weighs a segment by its length, so short events are merged away
    first and long stretches of nothing, which drift, are kept apart; and the midpoint of a long
    segment falls on whatever is there. With few segments that costs more than regular spacing gains.

    Here, of all choices of N windows, the one is taken that maximises the sum over windows of
    ``weight · cosine(window, chosen window nearest in time)``. Uniform decoding is one of these choices. The
    weight is the window's novelty, its distance from the mean of the seconds around it, so that a long
    stretch of nothing counts little, and a share for every window, for what is annotated though it lasts. It
    looks at the whole video before it decides.

    Args:
        seconds: To either side of a window, over which its novelty is measured; 0 weighs all windows alike.
        evenness: Weight that every window has beside its novelty, in mean novelties. Less finds more of what
            is short and rare; more tells evenly what is there.
        pooled: Decode the mean direction, by the same weights, of the windows that a choice stands for.
    """

    causal = False

    def __init__(self, *, seconds: float = 10.0, evenness: float = 0.5, pooled: bool = False) -> None:
        if seconds < 0 or evenness < 0:
            raise ValueError(f"seconds and evenness must be 0 or more, got {seconds:g} and {evenness:g}")
        self.seconds = seconds
        self.evenness = evenness
        self.pooled = pooled

    @property
    def label(self) -> str:
        """``coverage``, then what differs from the defaults."""
        words = ["coverage"]
        if self.seconds != 10:
            words.append(f"{self.seconds:g} s")
        if self.evenness != 0.5:
            words.append(f"evenness {self.evenness:g}")
        if self.pooled:
            words.append("pooled")
        return ", ".join(words)

    def decide(self, stream: EmbeddingStream, rate: float) -> list[Decode]:
        """Return one decode for each of ``stream.number(rate)`` chosen windows.

        Raises:
            UserError: An embedding is not finite.
        """
        coverage = coverage_of(stream, self.seconds, self.evenness)
        chosen = coverage.windows(stream.number(rate))
        decodes = [dataclasses.replace(d, decided=stream.duration) for d in decode_windows(stream, chosen)]
        if not self.pooled:
            return decodes
        rows = stream.embeddings * coverage.weights[:, None].astype(np.float32)  # [n, E]
        stretches = cells(stream.times, chosen)
        return [
            dataclasses.replace(d, embedding=unit_mean(rows[start:stop]))
            for d, (start, stop) in zip(decodes, stretches, strict=True)
        ]
