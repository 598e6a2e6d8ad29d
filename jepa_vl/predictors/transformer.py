"""`TransformerPredictor`: a small predictor that starts from scratch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jepa_vl.language.blocks import TransformerStack, check_heads
from jepa_vl.language.embedding import TokenEmbedding
from jepa_vl.predictors.base import Predictor
from jepa_vl.predictors.projection import VisualProjection
from jepa_vl.pretrained.models import load_tokenizer
from jepa_vl.sample import TextTokens
from jepa_vl.text.pooling import masked_mean
from jepa_vl.text.tokenizer import TextTokenizer


class TransformerPredictor(Predictor):
    """A bidirectional transformer over visual tokens, then query tokens.

    Args:
        dim: Width of the layers; a multiple of ``heads``.
        layers: Number of layers.
        heads: Attention heads.
        ffn_mult: Width of the feed-forward layers, in multiples of ``dim``.
        dropout: Dropout of attention weights and of each layer's output.
        query_model: Model whose tokenizer and (frozen) word embeddings the query gets: a hub name, a
            local folder, or a registered weights name.
        max_query_length: Longest query in tokens; the rest is cut off and counted.
        causal: Let a position see only itself and those before it, as an ablation (Table 7 d).
    """

    def __init__(
        self,
        *,
        dim: int = 192,
        layers: int = 4,
        heads: int = 3,
        ffn_mult: float = 4.0,
        dropout: float = 0.0,
        query_model: str = "all-minilm-l6-v2",
        max_query_length: int = 64,
        causal: bool = False,
    ) -> None:
        super().__init__()
        check_heads("predictor", dim, heads)
        self.dim = dim
        self.tokenizer = TextTokenizer(
            load_tokenizer(query_model), max_length=max_query_length, special_tokens=False
        )
        self.query_embedding = TokenEmbedding(model=query_model, dim=dim)
        self.stack = TransformerStack(
            dim=dim, layers=layers, heads=heads, ffn_mult=ffn_mult, dropout=dropout, causal=causal
        )

    def connect(self, *, vision_dim: int, embed_dim: int) -> None:
        """Make the visual projection and the head."""
        self.visual_projection = VisualProjection(vision_dim, self.dim)
        self.head = nn.Linear(self.dim, embed_dim)

    def forward(self, tokens: Tensor, query: TextTokens) -> Tensor:
        """Predict ``[B, E]`` from visual tokens ``[B, N, D]`` and a query ``[B, L]``."""
        # the two projections' biases tell the modalities apart
        visual = self.visual_projection(tokens)  # [B, N, d]
        x = torch.cat((visual, self.query_embedding(query.ids)), dim=1)  # [B, N + L, d]
        if query.ids.shape[1] == 0:
            states, _ = self.stack(x, None)
            return self.head(states.mean(dim=1))
        mask = torch.cat((query.mask.new_ones(tokens.shape[:2]), query.mask), dim=1)  # [B, N + L]
        states, _ = self.stack(x, mask)
        return self.head(masked_mean(states, mask))
