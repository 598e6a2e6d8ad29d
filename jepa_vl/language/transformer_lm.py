"""`TransformerLM`: a small language model that starts from scratch, the twin of `TransformerPredictor`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn

from jepa_vl.language.base import Head, LanguageModel
from jepa_vl.language.blocks import KVCache, TransformerStack, check_heads
from jepa_vl.language.data_vocabulary import DataVocabulary
from jepa_vl.language.embedding import TokenEmbedding
from jepa_vl.pretrained.models import load_tokenizer
from jepa_vl.text.tokenizer import TextTokenizer

log = logging.getLogger(__name__)


class TransformerLM(LanguageModel):
    """A causal transformer over a pretrained model's vocabulary.

    `TransformerPredictor` of half its layers is its last half without the causal mask. Both start from the
    same frozen word embeddings behind a trainable projection.

    Args:
        dim: Width of the layers; a multiple of ``heads``.
        layers: Number of layers; twice the predictor's.
        heads: Attention heads.
        ffn_mult: Width of the feed-forward layers, in multiples of ``dim``.
        dropout: Dropout of attention weights and of each layer's output.
        model: Model whose tokenizer, vocabulary and (frozen) word embeddings it gets: a hub name, a local
            folder, or a registered weights name.
        max_length: Longest query, and longest target, in tokens; the rest is cut off and counted.
        vocabulary: Which of the tokenizer's tokens it can say: ``all``, or those of the texts of the training
            split (``data``). That takes less time where the texts have few words, and leaves less to learn:
            the others need not be ruled out. A text with any other token has the likelihood 0. Any token
            can be read.
    """

    reads_trees = True

    def __init__(
        self,
        *,
        dim: int = 192,
        layers: int = 8,
        heads: int = 3,
        ffn_mult: float = 4.0,
        dropout: float = 0.0,
        model: str = "all-minilm-l6-v2",
        max_length: int = 64,
        vocabulary: Literal["all", "data"] = "all",
    ) -> None:
        super().__init__()
        check_heads("language_model", dim, heads)
        self.dim = dim
        tokenizer = load_tokenizer(model)
        self.end_id = end_token(tokenizer)
        self.query_tokenizer = TextTokenizer(tokenizer, max_length=max_length, special_tokens=False)
        self.target_tokenizer = TextTokenizer(
            tokenizer, max_length=max_length, special_tokens=False, suffix=(self.end_id,)
        )
        self.embedding = TokenEmbedding(model=model, dim=dim)
        self.stack = TransformerStack(
            dim=dim, layers=layers, heads=heads, ffn_mult=ffn_mult, dropout=dropout, causal=True
        )
        every = self.embedding.table.num_embeddings
        self.vocabulary: nn.Linear = (
            nn.Linear(dim, every) if vocabulary == "all" else DataVocabulary(dim, every, end_id=self.end_id)
        )
        self.wants_texts = vocabulary == "data"
        self._warned = False

    def embed(self, ids: Tensor) -> Tensor:
        """Look up ``[B, L]`` and project to ``[B, L, d]``."""
        return self.embedding(ids)

    def forward(
        self,
        embeddings: Tensor,
        mask: Tensor,
        *,
        cache: KVCache | None = None,
        use_cache: bool = False,
        sees: Tensor | None = None,
    ) -> tuple[Tensor, KVCache | None]:
        """Run the stack causally; see `LanguageModel.forward`."""
        return self.stack(embeddings, mask, cache=cache, use_cache=use_cache, sees=sees)

    def cache_rows(self, cache: KVCache, rows: Tensor) -> KVCache:
        """Copy rows of a cache."""
        return [(keys[rows], values[rows]) for keys, values in cache]

    def logits(self, states: Tensor) -> Tensor:
        """Next-token scores ``[..., d] → [..., V]``."""
        return self.vocabulary(states)

    def head(self) -> Head:
        """Return the layer over its vocabulary."""
        if isinstance(self.vocabulary, DataVocabulary):
            self.vocabulary.check_told()
        return Head(self.vocabulary.weight, self.vocabulary.bias)

    def places(self, ids: Tensor) -> Tensor:
        """Return the place of each token id among the V; -1, with a warning once, where it has none."""
        if not isinstance(self.vocabulary, DataVocabulary):
            return ids
        places = self.vocabulary.place[ids]
        # a look at the values waits for the device; in training there are none, see `tell_texts`
        if not (self.training or self._warned) and bool((places < 0).any()):
            self._warned = True
            word = self.target_tokenizer.decode([int(ids[places < 0][0])])
            log.warning(
                "the training texts have no token '%s': a text with it, or with another that they do not "
                "have, scores -∞; language_model.vocabulary 'all' can say any",
                word,
            )
        return places

    def tokens(self, places: Tensor) -> Tensor:
        """Return the token id at each place among the V."""
        return self.vocabulary.ids[places] if isinstance(self.vocabulary, DataVocabulary) else places

    def tell_texts(self, texts: Sequence[str]) -> None:
        """With the vocabulary ``data``, learn to say the tokens of these texts besides those it knows."""
        if isinstance(self.vocabulary, DataVocabulary):
            self.vocabulary.include(self._ids(texts).tolist())


def end_token(tokenizer: Any) -> int:
    """Return the id that ends a text: the end-of-sequence token, or BERT's separator."""
    end = tokenizer.eos_token_id
    return int(tokenizer.sep_token_id if end is None else end)
