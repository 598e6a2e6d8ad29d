"""The contract of a predictor ((S_V, X_Q) → Ŝ_Y)."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from jepa_vl.component import Component
from jepa_vl.sample import TextTokens
from jepa_vl.text.tokenizer import TextTokenizer


class Predictor(Component):
    """Visual tokens ``[B, N, D]`` and a query ``[B, L]`` → predicted target embedding ``[B, E]``.

    Attention is bidirectional, the query comes after the visual tokens, the output is the mean over
    positions that are not padding, and a linear head maps it to the shared space (section 3.1).
    It owns the query's tokenizer.

    Attributes:
        tokenizer: Turns queries into ids; used by the objective's collator, in the data workers.
    """

    tokenizer: TextTokenizer

    @abstractmethod
    def connect(self, *, vision_dim: int, embed_dim: int) -> None:
        """Make the visual projection from D=``vision_dim`` and the head to E=``embed_dim``.

        Called once by the objective, before the first ``forward``.
        """

    @abstractmethod
    def forward(self, tokens: Tensor, query: TextTokens) -> Tensor:
        """Predict ``[B, E]``, not normalised. A query may be empty (L = 0, or no position in its mask)."""
