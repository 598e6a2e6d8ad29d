"""The contract of a causal language model: what the token-space twin is made of."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor

from jepa_vl.component import Component
from jepa_vl.text.tokenizer import TextTokenizer


class LanguageModel(Component):
    """Input embeddings ``[B, L, d]`` → next-token logits ``[B, L, V]``, causally, with a KV cache.

    Attributes:
        dim: d, the width of its token embeddings.
        query_tokenizer: Tokenises prompts (no end token).
        target_tokenizer: Tokenises targets (with the end token).
        end_id: The token at which ``generate`` stops.
    """

    dim: int
    query_tokenizer: TextTokenizer
    target_tokenizer: TextTokenizer
    end_id: int

    @abstractmethod
    def embed(self, ids: Tensor) -> Tensor:
        """Look up token embeddings ``[B, L] → [B, L, d]``."""

    @abstractmethod
    def forward(
        self,
        embeddings: Tensor,
        mask: Tensor,
        *,
        cache: Any | None = None,
        use_cache: bool = False,
    ) -> tuple[Tensor, Any | None]:
        """Run the stack causally.

        Args:
            embeddings: ``[B, L, d]`` of the new positions.
            mask: bool ``[B, P + L]``: true at real positions, those already in ``cache`` included.
            cache: Keys and values of the P earlier positions, as returned by an earlier call.
            use_cache: Whether to return keys and values for the next call. A cache that was passed in may
                have been written to, and is not to be used again.

        Returns:
            Final hidden states ``[B, L, d]``, and the cache or None. ``logits`` turns states to scores,
            so that only the positions that matter are multiplied with the vocabulary.
        """

    @abstractmethod
    def cache_rows(self, cache: Any, rows: Tensor) -> Any:
        """Copy rows ``[M]`` (of 0 … B-1, repeats allowed) of a cache; the original is left as it is."""

    @abstractmethod
    def logits(self, states: Tensor) -> Tensor:
        """Next-token scores ``[..., d] → [..., V]``."""
