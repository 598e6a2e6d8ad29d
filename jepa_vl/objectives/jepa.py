"""`JEPAObjective`: predict the embedding of the target text (VL-JEPA, section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jepa_vl.data.base import SampleData
from jepa_vl.decoders.base import TextDecoder
from jepa_vl.errors import RecipeError
from jepa_vl.losses.base import Loss
from jepa_vl.metrics.embedding_health import effective_rank, embedding_std
from jepa_vl.objectives.base import DECODE, EMBED, GENERATE, SCORE, Collator
from jepa_vl.objectives.collate import Collate
from jepa_vl.objectives.layers import LayerSettings
from jepa_vl.objectives.micro_batches import embed_in_parts, micro_batches
from jepa_vl.objectives.trained import TrainedObjective
from jepa_vl.predictors.base import Predictor
from jepa_vl.sample import Batch
from jepa_vl.schedule import OptimizerSettings
from jepa_vl.text.base import TextEncoder
from jepa_vl.vision.base import VisionEncoder

TEXTS_AT_ONCE = 256


class JEPAObjective(TrainedObjective):
    """Minimises D(Ŝ_Y, S_Y), with Ŝ_Y = predictor(vision(X_V), X_Q) and S_Y = text encoder(Y).

    Args:
        vision_encoder: X_V → S_V.
        predictor: (S_V, X_Q) → Ŝ_Y.
        text_encoder: Y → S_Y.
        loss: D(Ŝ_Y, S_Y).
        embed_dim: E, width of the shared space (1,536 in the paper).
        optimizer: Learning rate, weight decay and schedule.
        layers: How the layers of what is trained are run.
        decoder: Ŝ_Y → Ŷ, for when text is wanted. It is trained elsewhere: checkpoints are the same with
            and without one.
        micro_batch: Samples whose activations are in memory at once; null for the whole batch. With a number,
            every sample is embedded twice (GradCache), and the gradient is still that of the whole batch.

    Raises:
        RecipeError: The loss needs a frozen target and the text encoder has something to train, or the
            decoder has, or the micro-batch is empty.
    """

    vision_encoder: VisionEncoder

    def __init__(
        self,
        *,
        vision_encoder: VisionEncoder,
        predictor: Predictor,
        text_encoder: TextEncoder,
        loss: Loss,
        embed_dim: int = 256,
        optimizer: OptimizerSettings = OptimizerSettings(),  # noqa: B008 - immutable
        layers: LayerSettings = LayerSettings(),  # noqa: B008 - immutable
        decoder: TextDecoder | None = None,
        micro_batch: int | None = None,
    ) -> None:
        super().__init__(optimizer=optimizer, layers=layers)
        if micro_batch is not None and micro_batch < 1:
            raise RecipeError(f"objective.micro_batch must be 1 or more, or null, got {micro_batch}")
        predictor.connect(vision_dim=vision_encoder.dim, embed_dim=embed_dim)
        text_encoder.connect(embed_dim=embed_dim)
        if loss.needs_frozen_target and any(p.requires_grad for p in text_encoder.parameters()):
            raise RecipeError(
                f"objective.loss {type(loss).__name__} has no term against collapse and needs a target that "
                f"does not learn, but objective.text_encoder {type(text_encoder).__name__} has weights to "
                "train: freeze it and leave out its head, or choose the loss info_nce"
            )
        if decoder is not None and any(p.requires_grad for p in decoder.parameters()):
            raise RecipeError(
                f"objective.decoder {type(decoder).__name__} is not trained, and jepa does not train it: "
                "train one with `jepa-vl fit --config recipes/decoder.yaml`, and name its run as "
                "objective.decoder.weights"
            )
        self.vision_encoder = vision_encoder
        self.predictor = predictor
        self.text_encoder = text_encoder
        self.loss = loss
        self.decoder = decoder
        self.embed_dim = embed_dim
        self.micro_batch = micro_batch
        self.abilities = frozenset({EMBED, SCORE} if decoder is None else {EMBED, SCORE, GENERATE, DECODE})
        self.register_state_dict_post_hook(_leave_out_decoder)
        self.register_load_state_dict_pre_hook(_keep_own_decoder)

    def collator(self) -> Collator:
        """Tokenise queries for the predictor, and targets for the text encoder."""
        return Collate(query=self.predictor.tokenizer, target=self.text_encoder.tokenizer)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return Ŝ_Y and S_Y of a batch, each ``[B, E]`` and not normalised."""
        if self.micro_batch is None or len(batch) <= self.micro_batch:
            return self._embeddings(batch)
        parts = micro_batches(batch, self.micro_batch)
        return embed_in_parts(self._embeddings, map(self._with_frozen_tokens, parts))

    def _embeddings(self, batch: Batch) -> tuple[Tensor, Tensor]:
        # texts first: what is asked of a GPU there waits for nothing long; and in the backward pass, which
        # goes the other way, the predictor's long operations run while the small ones of texts are launched
        target = self.text_encoder(batch.target)
        return self.predictor(self.visual_tokens(batch), batch.query), target

    def _with_frozen_tokens(self, batch: Batch) -> Batch:
        """Keep a frozen encoder's tokens in place of the video: they are not made twice."""
        if batch.video is None or not self.vision_encoder.frozen:
            return batch
        return replace(batch, tokens=self.visual_tokens(batch), video=None)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return D(Ŝ_Y, S_Y) of a batch."""
        predicted, target = self(batch)  # [B, E]
        loss, numbers = self.loss(predicted, target, batch.group)
        if self.logs_now:
            for name, embedding in (("predicted", predicted.detach()), ("target", target.detach())):
                numbers[f"{name}_std"] = embedding_std(embedding)
                numbers[f"{name}_effective_rank"] = effective_rank(embedding)
        self.log_train(batch, loss, **numbers)
        return loss

    def embed_video(self, batch: Batch) -> Tensor:
        """Embed (video, query) pairs: unit vectors ``[B, E]``."""
        return F.normalize(self.predictor(self.visual_tokens(batch), batch.query).float(), dim=-1)

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """Embed K texts: unit vectors ``[K, E]``; equal texts are encoded once."""
        place = {text: i for i, text in enumerate(sorted(set(texts), key=len))}  # short with short
        distinct = list(place)
        blocks = []
        for start in range(0, len(distinct), TEXTS_AT_ONCE):
            tokens = self.text_encoder.tokenizer(distinct[start : start + TEXTS_AT_ONCE])
            blocks.append(self.text_encoder(tokens.to(self.device)))
        if not blocks:
            return torch.zeros(0, self.embed_dim, device=self.device)
        embeddings = F.normalize(torch.cat(blocks).float(), dim=-1)  # [distinct, E]
        return embeddings[[place[text] for text in texts]]

    def score(self, batch: Batch, candidates: Sequence[Sequence[str]]) -> list[Tensor]:
        """Cosine similarity of each sample's prediction and its candidates."""
        predicted = self.embed_video(batch)  # [B, E]
        if all(texts is candidates[0] for texts in candidates):
            return list(predicted @ self.embed_text(candidates[0]).T)
        embeddings = self.embed_text([text for texts in candidates for text in texts])
        each = embeddings.split([len(texts) for texts in candidates])  # B × [K_i, E]
        return [e @ p for e, p in zip(each, predicted, strict=True)]

    def generate(self, batch: Batch, *, max_new_tokens: int | None = None) -> list[str]:
        """Decode the predicted embeddings to texts; None leaves their length to the decoder."""
        if self.decoder is None:
            raise self._cannot(GENERATE)
        return self.decode(self.embed_video(batch), max_new_tokens=max_new_tokens)

    def decode(self, embeddings: Tensor, *, max_new_tokens: int | None = None) -> list[str]:
        """Say the texts that embeddings ``[B, E]`` stand for."""
        if self.decoder is None:
            raise self._cannot(DECODE)
        self.decoder.check_space(self.embed_text)
        return self.decoder.decode(embeddings, max_new_tokens=max_new_tokens)

    def on_validation_start(self) -> None:
        """Tell the decoder the texts it wants to know, and refuse one of another text encoder at once."""
        if self.decoder is None:
            return
        self.decoder.check_space(self.embed_text)
        if self.decoder.split is not None:
            data: SampleData = self.trainer.datamodule  # type: ignore[attr-defined]
            self.decoder.tell_texts(distinct_targets(data, self.decoder.split), self.embed_text)

    on_test_start = on_predict_start = on_validation_start


def distinct_targets(data: SampleData, split: str) -> list[str]:
    """Target texts of a split, each once, in the order they first stand in.

    Raises:
        RecipeError: There is no such split, or it has no texts.
    """
    try:
        samples = data.sample_set(split).samples
    except KeyError as error:
        raise RecipeError(f"objective.decoder.split: {error.args[0]}") from error
    texts = list(dict.fromkeys(sample.target for sample in samples if sample.target))
    if not texts:
        raise RecipeError(f"objective.decoder.split: the data have no texts in split '{split}'")
    return texts


def _leave_out_decoder(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    for key in [key for key in state if key.startswith(f"{prefix}decoder.")]:
        del state[key]


def _keep_own_decoder(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Whatever a checkpoint says of a decoder, this one stays as it is."""
    _leave_out_decoder(module, state, prefix, None)
    if isinstance(module.decoder, nn.Module):
        state.update(module.decoder.state_dict(prefix=f"{prefix}decoder."))
