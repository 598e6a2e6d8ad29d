"""The contract of a text decoder (the paper's Y-Decoder, Ŝ_Y → Ŷ)."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from jepa_vl.component import Component


class TextDecoder(Component):
    """Embeddings ``[B, E]`` → texts. Used at inference only, and only when text is wanted."""

    @abstractmethod
    def decode(self, embeddings: Tensor) -> list[str]:
        """Return one text for each of the B embeddings."""
