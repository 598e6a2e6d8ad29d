"""`ConSESystem`: convex combination of semantic embeddings (Norouzi et al., 2014), without training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from jepa_vl.errors import RecipeError
from jepa_vl.objectives.base import EMBED, SCORE
from jepa_vl.objectives.system import System, cosine_scores
from jepa_vl.sample import Batch
from jepa_vl.text.base import TextEncoder
from jepa_vl.vision.base import VisionEncoder

TEXTS_AT_ONCE = 256


class ConSESystem(System):
    """Embeds a frame as the mean of its likeliest classes' name embeddings, weighted by probability.

    ConSE (arXiv:1312.5650, equation 5) with a sentence encoder for the word vectors. A clip is the mean
    over its frames. Nothing learns: it says what a classifier and a text encoder give on their own. It has
    no input for a query.

    Args:
        vision_encoder: Gives class probabilities ``[B, T, D]`` and has the D ``class_names``.
        text_encoder: Frozen, and without a head of random weights.
        embed_dim: E, the width of the text encoder.
        top: T of the paper: how many of a frame's classes are combined.

    Raises:
        RecipeError: The vision encoder names no classes, ``top`` is not one of 1 … D, or the text encoder
            has something to train.
    """

    vision_encoder: VisionEncoder
    abilities = frozenset({EMBED, SCORE})

    def __init__(
        self,
        *,
        vision_encoder: VisionEncoder,
        text_encoder: TextEncoder,
        embed_dim: int = 384,
        top: int = 10,
    ) -> None:
        super().__init__()
        names = getattr(vision_encoder, "class_names", None)
        if names is None:
            raise RecipeError(
                f"objective.vision_encoder {type(vision_encoder).__name__} gives no class probabilities (it "
                "has no 'class_names'); choose imagenet_lite0"
            )
        if not 1 <= top <= len(names):
            raise RecipeError(f"objective.top must be from 1 to {len(names)} classes, found {top}")
        text_encoder.connect(embed_dim=embed_dim)
        if any(p.requires_grad for p in text_encoder.parameters()):
            raise RecipeError(
                "objective.text_encoder has weights to train, and conse trains none: "
                "give it 'freeze: true' and 'head: none'"
            )
        self.vision_encoder = vision_encoder
        self.text_encoder = text_encoder
        self.class_names = tuple(names)
        self.embed_dim = embed_dim
        self.top = top
        self._classes: Tensor | None = None

    def embed_video(self, batch: Batch) -> Tensor:
        """Combine class embeddings: unit vectors ``[B, E]``. The query is not looked at."""
        probabilities = self.visual_tokens(batch).float()  # [B, T, D]
        weight, which = probabilities.topk(self.top, dim=-1)  # [B, T, top]
        weight = weight / weight.sum(dim=-1, keepdim=True)
        frames = (weight.unsqueeze(-1) * self._class_embeddings()[which]).sum(dim=2)  # [B, T, E]
        return F.normalize(frames.mean(dim=1), dim=-1)

    @torch.no_grad()
    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """Embed K texts: unit vectors ``[K, E]``."""
        if not texts:
            return torch.zeros(0, self.embed_dim, device=self.device)
        blocks = [
            self.text_encoder(self.text_encoder.tokenizer(texts[i : i + TEXTS_AT_ONCE]).to(self.device))
            for i in range(0, len(texts), TEXTS_AT_ONCE)
        ]
        return F.normalize(torch.cat(blocks).float(), dim=-1)

    def score(self, batch: Batch, candidates: Sequence[Sequence[str]]) -> list[Tensor]:
        """Cosine of each video and its candidates."""
        return cosine_scores(self.embed_video(batch), candidates, self.embed_text)

    def _class_embeddings(self) -> Tensor:
        """Unit vectors ``[D, E]`` of the class names, made when they are first wanted."""
        if self._classes is None or self._classes.device != self.device:
            self._classes = self.embed_text(self.class_names)
        return self._classes
