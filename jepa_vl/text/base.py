"""The contract of a target-text encoder (the paper's Y-Encoder, Y → S_Y)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor

from jepa_vl.component import Component
from jepa_vl.sample import TextTokens
from jepa_vl.text.tokenizer import TextTokenizer


class TextEncoder(Component):
    """Text ids and mask ``[B, L]`` → embedding ``[B, E]``. Owns its tokenizer and its pooling.

    Pretrained weights learn at their own learning-rate multiplier (0.05 in the paper); the head, which
    starts from random weights, learns at the full rate.

    Attributes:
        tokenizer: Turns target texts into ids; used by the objective's collator, in the data workers.
    """

    tokenizer: TextTokenizer

    @abstractmethod
    def connect(self, *, embed_dim: int) -> None:
        """Make the head to E=``embed_dim``. Called once by the objective, before the first ``forward``."""

    @abstractmethod
    def forward(self, text: TextTokens) -> Tensor:
        """Embed ``[B, L]`` ids to ``[B, E]``, not normalised."""

    def untouched(self, texts: Sequence[str]) -> Tensor | None:
        """Embed K texts as the pretrained model did before any training, without the head.

        The baseline that tells what training did to the encoder.

        Returns:
            Unit vectors ``[K, d]``, d the pretrained model's own width; None where there is no such model.
        """
        return None
