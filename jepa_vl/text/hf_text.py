"""`HFText`: any Hugging Face text encoder with its pooling and a head to the shared space."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import AutoModel

from jepa_vl.errors import RecipeError
from jepa_vl.pretrained.models import load_model, load_tokenizer
from jepa_vl.sample import TextTokens
from jepa_vl.text.base import TextEncoder
from jepa_vl.text.distinct import distinct_rows
from jepa_vl.text.memo import EmbeddingMemo, UntouchedMemo
from jepa_vl.text.pooling import Pooling, context_length, pool
from jepa_vl.text.tokenizer import TextTokenizer


class HFText(TextEncoder):
    """A pretrained text encoder (EmbeddingGemma in the paper) and a head that starts from random weights.

    A text that stands several times in a batch is encoded once. A frozen backbone encodes each text once
    in a run: what it says is kept in memory.

    Args:
        model: Hub name, local folder, or registered weights name.
        pooling: How token states become one vector: their mean, the first (``cls``), the last real one,
            or the model's own pooled output (``model``).
        freeze: Freeze the backbone, and train the head alone.
        head: What leads to the shared space: a linear map, a two-layer ``mlp``, or ``none``.
        lr_multiplier: Learning rate of the backbone relative to the optimizer's; the head has the full one.
        max_length: Longest text in tokens, at most what the model reads; the rest is cut off and counted.
        prompt: Put before each text, for models that were trained with one.
        dropout: Of the backbone while it is trained, its attention included. With 0, as in the paper's Gemma,
            a text is the same target each time it is seen; ``None`` leaves the model's own (.1 in BERT).
    """

    def __init__(
        self,
        *,
        model: str = "all-minilm-l6-v2",
        pooling: Pooling = "mean",
        freeze: bool = False,
        head: Literal["linear", "mlp", "none"] = "linear",
        lr_multiplier: float = 0.05,
        max_length: int = 512,
        prompt: str = "",
        dropout: float | None = 0.0,
    ) -> None:
        super().__init__()
        self.model_name = model
        self.pooling = pooling
        self.head_kind = head
        self.lr_multiplier = lr_multiplier
        self.backbone = _text_tower(load_model(model, AutoModel, dropout=dropout))
        self.dim = int(self.backbone.config.hidden_size)
        tokenizer = load_tokenizer(model)
        self.tokenizer = TextTokenizer(
            tokenizer,
            max_length=min(max_length, context_length(self.backbone.config, tokenizer)),
            prompt=prompt,
        )
        if pooling != "model" and isinstance(getattr(self.backbone, "pooler", None), nn.Module):
            self.freeze_part(self.backbone.pooler)  # not used: it would never have a gradient
        self.memo: EmbeddingMemo | None = None
        if freeze:
            self.freeze_part(self.backbone)
            self.memo = EmbeddingMemo(self._pooled)
        self._untouched = UntouchedMemo(self._fresh)

    def connect(self, *, embed_dim: int) -> None:
        """Make the head to E=``embed_dim``.

        Raises:
            RecipeError: There is no head and the model's width is not E.
        """
        self.head: nn.Module
        if self.head_kind == "none":
            if self.dim != embed_dim:
                raise RecipeError(
                    f"text_encoder.head is none, so objective.embed_dim must be the width of "
                    f"'{self.model_name}', {self.dim}; found {embed_dim}"
                )
            self.head = nn.Identity()
        elif self.head_kind == "mlp":
            self.head = nn.Sequential(
                nn.Linear(self.dim, self.dim), nn.GELU(), nn.Linear(self.dim, embed_dim)
            )
        else:
            self.head = nn.Linear(self.dim, embed_dim)

    def forward(self, text: TextTokens) -> Tensor:
        """Embed ``[B, L]`` ids to ``[B, E]``."""
        distinct, where = distinct_rows(text)  # [U, L], [B]
        pooled = self._pooled(distinct) if self.memo is None else self.memo(distinct)  # [U, width]
        return self.head(pooled)[where]

    def parameter_groups(self) -> Iterator[tuple[float, list[nn.Parameter]]]:
        """Yield the backbone at its multiplier, unless it is frozen, and the head at the full rate."""
        for multiplier, part in ((self.lr_multiplier, self.backbone), (1.0, self.head)):
            trainable = [p for p in part.parameters() if p.requires_grad]
            if trainable:
                yield multiplier, trainable

    def untouched(self, texts: Sequence[str]) -> Tensor:
        """Embed K texts with the pretrained weights, pooling and prompt: unit vectors ``[K, width]``.

        Raises:
            UserError: The weights that training started from cannot be read any more.
        """
        if not texts:
            return torch.zeros(0, self.dim, device=self.device)
        return normalize(self._untouched(self.tokenizer(texts).to(self.device)), dim=-1)

    def _fresh(self) -> Callable[[TextTokens], Tensor]:
        # even a frozen backbone may hold other weights: those of a checkpoint it was trained in
        with torch.random.fork_rng(devices=[]):  # a run draws the same numbers with and without this
            backbone = _text_tower(load_model(self.model_name, AutoModel)).eval().to(self.device)
        return partial(self._pooled, backbone=backbone)

    def _pooled(self, text: TextTokens, backbone: Any = None) -> Tensor:
        """Token states of ``[B, L]`` ids, pooled to ``[B, width]``; zero for a text without tokens."""
        if text.ids.shape[1] == 0:
            return text.ids.new_zeros((len(text.ids), self.dim), dtype=self.backbone.dtype)
        filled = text.mask.any(dim=1, keepdim=True)  # [B, 1]
        backbone = self.backbone if backbone is None else backbone
        seen = text.mask.clone()
        seen[:, :1] |= ~filled  # attention over nothing is not a number
        output = backbone(input_ids=text.ids, attention_mask=seen.long())
        return pool(output, seen, self.pooling) * filled


def _text_tower(model: Any) -> Any:
    tower = model.get_encoder() if hasattr(model, "decoder") else getattr(model, "text_model", model)
    # nothing is generated, and a layer that is computed again would find its own keys and values in a cache
    tower.config.use_cache = False
    return tower
