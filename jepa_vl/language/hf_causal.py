"""`HFCausalLM`: any Hugging Face causal language model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, DynamicCache

from jepa_vl.language.base import Head, LanguageModel
from jepa_vl.language.blocks import attending, positions
from jepa_vl.language.hf_cache import cache_argument, cache_of
from jepa_vl.language.transformer_lm import end_token
from jepa_vl.pretrained.models import load_model, load_tokenizer
from jepa_vl.text.tokenizer import TextTokenizer


class HFCausalLM(LanguageModel):
    """A pretrained language model, the whole of it trained (section 4.5's token-generative model).

    Args:
        model: Hub name, local folder, or registered weights name.
        pretrained: Start from its weights; else from random ones of the same shape.
        max_length: Longest query, and longest target, in tokens; the rest is cut off and counted.
    """

    def __init__(
        self,
        *,
        model: str = "smollm2-135m-instruct",
        pretrained: bool = True,
        max_length: int = 512,
    ) -> None:
        super().__init__()
        self.lm = load_model(model, AutoModelForCausalLM, pretrained=pretrained)
        self.dim = int(self.lm.config.hidden_size)
        self.reads_trees = _takes_masks(self.lm.config)
        tokenizer = load_tokenizer(model)
        self.end_id = end_token(tokenizer)
        self.query_tokenizer = TextTokenizer(tokenizer, max_length=max_length, special_tokens=False)
        self.target_tokenizer = TextTokenizer(
            tokenizer, max_length=max_length, special_tokens=False, suffix=(self.end_id,)
        )

    def embed(self, ids: Tensor) -> Tensor:
        """Look up ``[B, L] → [B, L, d]``."""
        return self.lm.get_input_embeddings()(ids)

    def forward(
        self,
        embeddings: Tensor,
        mask: Tensor,
        *,
        cache: Any | None = None,
        use_cache: bool = False,
        sees: Tensor | None = None,
    ) -> tuple[Tensor, Any | None]:
        """Run the stack causally; see `LanguageModel.forward`."""
        if use_cache and cache is None:
            cache = DynamicCache()  # keeps every position, whatever the model's sliding windows
        seen = mask.long()
        if sees is not None:  # as what is added to the scores, which every kind of attention takes
            low = torch.finfo(embeddings.dtype).min
            seen = embeddings.new_zeros(()).where(attending(mask, sees), low)  # [B, 1, L, P + L]
        output = self.lm.base_model(
            inputs_embeds=embeddings,
            attention_mask=seen,
            position_ids=positions(mask, sees)[:, -embeddings.shape[1] :],
            use_cache=use_cache,
            **cache_argument(self.lm.base_model, cache),
        )
        return output.last_hidden_state, cache_of(output) if use_cache else None

    def cache_rows(self, cache: Any, rows: Tensor) -> Any:
        """Copy rows of a cache."""
        chosen = DynamicCache()
        for i, layer in enumerate(cache.layers):
            chosen.update(layer.keys[rows], layer.values[rows], i)
        return chosen

    def logits(self, states: Tensor) -> Tensor:
        """Next-token scores ``[..., d] → [..., V]``."""
        return self.lm.get_output_embeddings()(states)

    def head(self) -> Head | None:
        """Return the layer that `logits` is; most have no bias, and many share it with the embeddings."""
        layer = self.lm.get_output_embeddings()
        return Head(layer.weight, layer.bias) if type(layer) is nn.Linear else None


def _takes_masks(config: Any) -> bool:
    """Whether a mask of our own can say what a position sees: in attention that takes one, in every layer."""
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    whole = kinds == {"full_attention"} and getattr(config, "sliding_window", None) is None
    return whole and config._attn_implementation in ("eager", "sdpa")
