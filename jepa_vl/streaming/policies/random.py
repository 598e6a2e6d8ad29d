"""Decoding at random times: what knowing nothing, not even a stride, is worth."""

from __future__ import annotations

import zlib

import numpy as np

from jepa_vl.streaming.base import Decode, EmbeddingStream, Policy
from jepa_vl.streaming.checks import require_finite
from jepa_vl.streaming.policies.chosen import decode_windows


class RandomPolicy(Policy):
    """Decodes windows drawn without replacement; the same ones each time for one seed and stream name.

    Args:
        seed: Of the draw.
    """

    causal = True

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    @property
    def label(self) -> str:
        """``random``, with a seed other than 0."""
        return f"random, seed {self.seed}" if self.seed else "random"

    def decide(self, stream: EmbeddingStream, rate: float) -> list[Decode]:
        """Return ``stream.number(rate)`` decodes.

        Raises:
            UserError: An embedding is not finite.
        """
        require_finite(stream)
        rng = np.random.default_rng([self.seed, zlib.crc32(stream.name.encode())])
        drawn = rng.choice(len(stream), size=stream.number(rate), replace=False)
        return decode_windows(stream, sorted(drawn.tolist()))
