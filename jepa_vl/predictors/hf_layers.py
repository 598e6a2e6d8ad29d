"""`HFLayersPredictor`: some layers of a causal language model, without the causal mask (section 3.1)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import AutoModel

from jepa_vl.errors import RecipeError
from jepa_vl.language.blocks import positions
from jepa_vl.predictors.base import Predictor
from jepa_vl.predictors.projection import VisualProjection
from jepa_vl.pretrained.models import load_model, load_tokenizer
from jepa_vl.sample import TextTokens
from jepa_vl.text.pooling import masked_mean
from jepa_vl.text.tokenizer import TextTokenizer


class HFLayersPredictor(Predictor):
    """k layers of a Llama-like model, with its tokenizer and its (frozen) token embeddings.

    The paper takes the last 8 of Llama-3.2-1B's 16 layers: 490M trainable parameters. Its Table 7 (d) tries
    the first 2, 4 and 8 as well, and all 16.

    Args:
        model: Hub name, local folder, or registered weights name of a Llama, Qwen, SmolLM or the like.
        layers: k, how many of its layers are kept.
        end: Which of them: the ``last`` or the ``first``.
        pretrained: Start the layers from the model's weights; else from random ones of the same shape.
        max_query_length: Longest query in tokens; the rest is cut off and counted.
        causal: Keep the causal mask, as an ablation.
    """

    def __init__(
        self,
        *,
        model: str = "smollm2-135m-instruct",
        layers: int = 15,
        end: Literal["first", "last"] = "last",
        pretrained: bool = True,
        max_query_length: int = 512,
        causal: bool = False,
    ) -> None:
        super().__init__()
        lm = load_model(model, AutoModel)
        _check(lm, model, layers)
        self.causal = causal
        self.tokenizer = TextTokenizer(
            load_tokenizer(model), max_length=max_query_length, special_tokens=False
        )
        self.embedding: nn.Embedding = lm.get_input_embeddings()
        self.freeze_part(self.embedding)
        source = lm if pretrained else load_model(model, AutoModel, pretrained=False)
        self.layers = nn.ModuleList(source.layers[-layers:] if end == "last" else source.layers[:layers])
        self.norm: nn.Module = source.norm
        self.rotary: nn.Module = lm.rotary_emb
        self.dim = int(lm.config.hidden_size)

    def connect(self, *, vision_dim: int, embed_dim: int) -> None:
        """Make the two projections into the layers, and the head."""
        self.visual_projection = VisualProjection(vision_dim, self.dim)
        self.query_projection = nn.Linear(self.dim, self.dim)
        self.head = nn.Linear(self.dim, embed_dim)

    def forward(self, tokens: Tensor, query: TextTokens) -> Tensor:
        """Predict ``[B, E]`` from visual tokens ``[B, N, D]`` and a query ``[B, L]``."""
        visual = self.visual_projection(tokens)  # [B, N, d]
        # also without any query, so that its projection always takes part in the backward pass
        words = self.query_projection(self.embedding(query.ids))  # [B, L, d]
        x = torch.cat((visual, words), dim=1)  # [B, N + L, d]
        mask = torch.cat((query.mask.new_ones(tokens.shape[:2]), query.mask), dim=1)  # [B, N + L]
        position_ids = positions(mask)
        rotation = self.rotary(x, position_ids)
        attend = self._attention_mask(mask, x, padded=words.shape[1] > 0)
        for layer in self.layers:
            x = layer(
                x,
                attention_mask=attend,
                position_ids=position_ids,
                position_embeddings=rotation,
                is_causal=False,
            )
        return self.head(masked_mean(self.norm(x), mask))

    def _attention_mask(self, mask: Tensor, x: Tensor, *, padded: bool) -> Tensor | None:
        """What is added to attention scores ``[B, 1, N + L, N + L]``; None when all see all."""
        if not (padded or self.causal):
            return None
        length = mask.shape[1]
        seen = mask[:, None, None, :].expand(-1, 1, length, -1)
        if self.causal:
            seen = seen.tril()
        return torch.zeros_like(seen, dtype=x.dtype).masked_fill(~seen, torch.finfo(x.dtype).min)


def _check(lm: Any, model: str, layers: int) -> None:
    missing = [name for name in ("layers", "norm", "rotary_emb") if not hasattr(lm, name)]
    if missing:
        raise RecipeError(
            f"predictor.model '{model}' is a {type(lm).__name__} without {', '.join(missing)}; hf_layers "
            "needs a Llama-like causal language model (Llama, Qwen, SmolLM, …)"
        )
    if not 1 <= layers <= len(lm.layers):
        raise RecipeError(
            f"predictor.layers must be between 1 and the {len(lm.layers)} of '{model}', found {layers}"
        )
