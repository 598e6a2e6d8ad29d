"""The contract of a causal language model: what the token-space twin is made of."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from jepa_vl.component import Component
from jepa_vl.language.linear_cross_entropy import TokenLosses, linear_cross_entropy
from jepa_vl.losses.inputs import exact
from jepa_vl.text.tokenizer import TextTokenizer


class Head(NamedTuple):
    """The last layer of a language model: scores = states · weightᵀ + bias."""

    weight: Tensor  # [V, d]
    bias: Tensor | None  # [V]


class LanguageModel(Component):
    """Input embeddings ``[B, L, d]`` → next-token logits ``[B, L, V]``, causally, with a KV cache.

    V is what it can say: each of the tokenizer's tokens at the place of its id, unless `places` and
    `tokens` say otherwise.

    Attributes:
        dim: d, the width of its token embeddings.
        query_tokenizer: Tokenises prompts (no end token).
        target_tokenizer: Tokenises targets (with the end token).
        end_id: The token at which ``generate`` stops.
        wants_texts: Whether it is to be told the training texts before it is trained, see `tell_texts`.
        reads_trees: Whether `forward` takes ``sees``.
    """

    dim: int
    query_tokenizer: TextTokenizer
    target_tokenizer: TextTokenizer
    end_id: int
    wants_texts: bool = False
    reads_trees: bool = False
    forward_methods = ("embed", "logits", "token_losses")

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
        sees: Tensor | None = None,
    ) -> tuple[Tensor, Any | None]:
        """Run the stack causally.

        Args:
            embeddings: ``[B, L, d]`` of the new positions.
            mask: bool ``[B, P + L]``: true at real positions, those already in ``cache`` included.
            cache: Keys and values of the P earlier positions, as returned by an earlier call.
            use_cache: Whether to return keys and values for the next call. A cache that was passed in may
                have been written to, and is not to be used again.
            sees: bool ``[B, L, L]``, for texts that branch: which of the new positions each of them comes
                after, itself included; None where each comes after all before it. The earlier positions are
                before all. Never given to a model that does not read trees.

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

    def head(self) -> Head | None:
        """Return weight and bias of the linear layer that `logits` is; None where it is anything else.

        With them the loss is computed without the scores of all tokens at once.
        """
        return None

    def token_losses(self, states: Tensor, ids: Tensor, *, likeliest: bool = False) -> TokenLosses:
        """Return what n tokens cost: -log p each, in float32.

        Args:
            states: ``[n, d]``, each the state that predicts the token at its place.
            ids: int64 ``[n]``.
            likeliest: Whether the places of the highest scores are wanted as well.
        """
        head, places = self.head(), self.places(ids)
        if head is not None:
            return linear_cross_entropy(states, *head, places, likeliest=likeliest)
        scores = exact(self.logits(states))  # [n, V]
        each = F.cross_entropy(scores, places.clamp(min=0), reduction="none")
        each = each.masked_fill(places < 0, torch.inf)
        return TokenLosses(each.sum(), each.detach(), scores.argmax(dim=1) if likeliest else None)

    def places(self, ids: Tensor) -> Tensor:
        """Return the place of each token id among the V; -1 for one that cannot be said."""
        return ids

    def tokens(self, places: Tensor) -> Tensor:
        """Return the token id at each place among the V."""
        return places

    def tell_texts(self, texts: Sequence[str]) -> None:
        """Take the texts that there will be to say, before there is an optimizer."""

    def unsayable(self, texts: Sequence[str]) -> list[str]:
        """Return the tokens of texts that it cannot say, each once."""
        ids = self._ids(texts)
        strange = ids[self.places(ids.to(self.device)).cpu() < 0].tolist()
        return [self.target_tokenizer.decode([token]) for token in strange]

    def _ids(self, texts: Sequence[str]) -> Tensor:
        """Distinct token ids of texts, the end token among them."""
        text = self.target_tokenizer(texts)
        return text.ids[text.mask].unique()
