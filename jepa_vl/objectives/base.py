"""The contract of an objective: the one LightningModule that is trained, and what tasks may ask of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor

from jepa_vl.errors import UserError
from jepa_vl.sample import Batch, Item, TextTokens
from jepa_vl.vision.base import VisionEncoder

Tokenise = Callable[[Sequence[str]], TextTokens]
Collator = Callable[[Sequence[Item]], Batch]

EMBED, SCORE, GENERATE, DECODE = "embed", "score", "generate", "decode"


class Objective(LightningModule):
    """Trains on `Batch`es and answers what tasks ask.

    A task asks only for `embed_video`, `embed_text`, `score`, `generate` and `decode`; ``abilities`` says
    which of ``embed``, ``score``, ``generate`` and ``decode`` this objective has. Data modules ask only for
    `collator` and for the vision encoder's preprocessing (and its tokens, when it is frozen and they are
    cached).

    Attributes:
        vision_encoder: X_V → S_V; None for an objective that reads texts alone, and no media are read.
        abilities: What it can do.
    """

    vision_encoder: VisionEncoder | None
    abilities: frozenset[str] = frozenset()

    @abstractmethod
    def collator(self) -> Collator:
        """Return the picklable function that turns items into a `Batch`; it runs in the data workers."""

    def visual_tokens(self, batch: Batch) -> Tensor:
        """Visual tokens S_V ``[B, N, D]``: the batch's cached ones, else the encoder's."""
        if batch.tokens is not None:
            return batch.tokens.to(self.dtype)
        assert batch.video is not None
        assert self.vision_encoder is not None
        if not self.vision_encoder.frozen:
            return self.vision_encoder(batch.video).to(self.dtype)
        # tokens are cached outside autocast: the live ones must be the same
        with torch.no_grad(), torch.autocast(batch.video.device.type, enabled=False):
            return self.vision_encoder(batch.video).to(self.dtype)

    def embed_video(self, batch: Batch) -> Tensor:
        """Embed (video, query) pairs: unit vectors ``[B, E]``."""
        raise self._cannot(EMBED)

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """Embed K texts: unit vectors ``[K, E]``."""
        raise self._cannot(EMBED)

    def score(self, batch: Batch, candidates: Sequence[Sequence[str]]) -> list[Tensor]:
        """Score each sample's candidate texts given its video and query; higher is likelier.

        Args:
            batch: B samples.
            candidates: B lists of texts. Passing one and the same list object B times is the fast path
                for a shared list.

        Returns:
            B tensors, the i-th of shape ``[len(candidates[i])]``.
        """
        raise self._cannot(SCORE)

    def generate(self, batch: Batch, *, max_new_tokens: int = 32) -> list[str]:
        """Say the target text of each of the B samples."""
        raise self._cannot(GENERATE)

    def decode(self, embeddings: Tensor, *, max_new_tokens: int | None = None) -> list[str]:
        """Say the texts that embeddings ``[B, E]`` of the shared space stand for, true or predicted ones.

        Args:
            embeddings: B unit vectors.
            max_new_tokens: Length at which a text is cut; None for the decoder's own.
        """
        raise self._cannot(DECODE)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Nothing by itself: tasks ask for what they need."""

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Nothing by itself: tasks ask for what they need."""

    def predict_step(self, batch: Batch, batch_idx: int = 0, dataloader_idx: int = 0) -> list[dict[str, Any]]:
        """Return what the objective can say of each sample: its embedding, its text."""
        rows: list[dict[str, Any]] = [{"id": sample.id} for sample in batch.samples]
        if EMBED in self.abilities:
            for row, embedding in zip(rows, self.embed_video(batch), strict=True):
                row["embedding"] = embedding.cpu()
        if GENERATE in self.abilities:
            for row, text in zip(rows, self.generate(batch), strict=True):
                row["text"] = text
        return rows

    def _cannot(self, ability: str) -> UserError:
        known = ", ".join(sorted(self.abilities)) or "nothing"
        return UserError(f"{type(self).__name__} cannot {ability}; it can: {known}")
