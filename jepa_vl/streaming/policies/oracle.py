"""Decoding at the annotations: what perfect knowledge of when would be worth."""

from __future__ import annotations

import numpy as np

from jepa_vl.streaming.base import Decode, EmbeddingStream, Policy
from jepa_vl.streaming.checks import require_finite
from jepa_vl.streaming.policies.chosen import decode_windows


class OraclePolicy(Policy):
    """Decodes the window nearest to each annotation: all of them where the rate allows, else every so many.

    Fewer decodes than the rate asks for are made where there are fewer annotations, and none without any.
    """

    causal = False

    def __init__(self) -> None:  # what jsonargparse reads: it has no arguments
        pass

    @property
    def label(self) -> str:
        """``oracle``."""
        return "oracle"

    def decide(self, stream: EmbeddingStream, rate: float) -> list[Decode]:
        """Return at most ``stream.number(rate)`` decodes, evenly chosen from the annotations.

        Raises:
            UserError: An embedding is not finite.
        """
        require_finite(stream)
        events = sorted(stream.events)
        if not events:
            return []
        number = min(stream.number(rate), len(events))
        chosen = [events[int((i + 0.5) * len(events) / number)] for i in range(number)]
        # several annotations may be nearest to one window
        windows = sorted({int(np.abs(stream.times - event).argmin()) for event in chosen})
        return decode_windows(stream, windows)
