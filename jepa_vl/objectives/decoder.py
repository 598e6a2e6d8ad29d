"""`DecoderObjective`: train a Y-Decoder on texts alone: text → frozen text encoder → decoder → text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from jepa_vl.decoders.base import TextDecoder
from jepa_vl.decoders.prefix_lm import PROBES, PrefixLM
from jepa_vl.decoders.space import TextSpace
from jepa_vl.errors import RecipeError
from jepa_vl.objectives.base import DECODE, GENERATE, Collator
from jepa_vl.objectives.collate import Collate
from jepa_vl.objectives.layers import LayerSettings
from jepa_vl.objectives.token_loss import TokenLoss
from jepa_vl.objectives.trained import TrainedObjective
from jepa_vl.sample import Batch
from jepa_vl.schedule import OptimizerSettings


class DecoderObjective(TrainedObjective):
    """Minimises -log p(Y | S_Y + noise), token by token, for the target texts Y of the data.

    No media are read. The noise stands for the gap between the embeddings that are decoded in training,
    those of texts, and the predicted ones that are decoded in use (as in CapDec, arXiv 2211.00575);
    `jepa_vl.decoders.gap` measures which noise is as far off. A decoder of any objective's text encoder
    can be trained: `model` says which.

    Args:
        model: Run (``runs/NAME``) or checkpoint whose text encoder, head included, is decoded; it stays
            as it is, and is not saved again.
        decoder: What is trained; `prefix_lm`.
        noise: Deviation, in each of the E numbers, of the Gaussian noise on unit embeddings in training.
            They are brought back to unit norm.
        optimizer: Learning rate, weight decay and schedule.
        layers: How the layers of what is trained are run.

    Raises:
        RecipeError: The model has no text embeddings, the decoder has nothing to train, or the noise is
            negative.
        UserError: There is no such model.
    """

    vision_encoder = None
    abilities = frozenset({GENERATE, DECODE})

    def __init__(
        self,
        *,
        model: str,
        decoder: TextDecoder,
        noise: float = 0.0,
        optimizer: OptimizerSettings = OptimizerSettings(),  # noqa: B008 - immutable
        layers: LayerSettings = LayerSettings(),  # noqa: B008 - immutable
    ) -> None:
        super().__init__(optimizer=optimizer, layers=layers)
        if not isinstance(decoder, PrefixLM) or decoder.frozen:
            trained = " with weights" if isinstance(decoder, PrefixLM) else ""
            raise RecipeError(
                f"objective.decoder {type(decoder).__name__}{trained} has nothing to train; expected "
                "prefix_lm with a language_model"
            )
        if noise < 0:
            raise RecipeError(f"objective.noise must not be negative, found {noise}")
        self.text_space = TextSpace(model)
        decoder.connect(self.text_space(PROBES))
        self.decoder = decoder
        self.noise = noise
        self.loss = TokenLoss()

    def collator(self) -> Collator:
        """Tokenise targets for the language model."""
        language_model = self.decoder.language_model
        return Collate(query=language_model.query_tokenizer, target=language_model.target_tokenizer)

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """Embed K texts as the model does: unit vectors ``[K, E]``; each is encoded once in a run."""
        return self.text_space(texts, self.device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the mean cross-entropy over the batch's target tokens, the end token included."""
        embeddings = add_noise(self._targets(batch), self.noise)  # [B, E]
        loss, _, correct = self._token_losses(embeddings, batch)
        self.log_train(batch, loss, perplexity=loss.detach().exp(), token_accuracy=correct)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Log loss and token accuracy without noise, and the share of texts that come back exactly."""
        embeddings = self._targets(batch)
        _, each, correct = self._token_losses(embeddings, batch)
        said = self.decoder.decode(embeddings)
        # compared as the tokenizer writes them: it may have no capitals
        wanted = self.decoder.language_model.target_tokenizer.decode
        rows = zip(said, batch.target.ids, batch.target.mask, strict=True)
        exact = [text == wanted(row[mask].tolist()) for text, row, mask in rows]
        of_tokens = {"val/loss": each.mean(), "val/token_accuracy": correct}
        self.log_dict(of_tokens, batch_size=len(each), sync_dist=True)
        self.log("val/exact_match", sum(exact) / len(exact), batch_size=len(batch), sync_dist=True)

    def generate(self, batch: Batch, *, max_new_tokens: int | None = None) -> list[str]:
        """Say each target again, from its true embedding; None leaves its length to the decoder."""
        return self.decode(self._targets(batch), max_new_tokens=max_new_tokens)

    def decode(self, embeddings: Tensor, *, max_new_tokens: int | None = None) -> list[str]:
        """Say the texts that embeddings ``[B, E]`` stand for."""
        return self.decoder.decode(embeddings, max_new_tokens=max_new_tokens)

    def on_train_start(self) -> None:
        """Refuse to go on from a checkpoint that was trained for another text encoder than ``model`` has."""
        self.decoder.check_space(self.embed_text)

    on_validation_start = on_test_start = on_predict_start = on_train_start

    def _targets(self, batch: Batch) -> Tensor:
        return self.embed_text([sample.target for sample in batch.samples])  # [B, E]

    def _token_losses(self, embeddings: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return the loss, what each of the batch's target tokens costs, and the share that is likeliest."""
        language_model = self.decoder.language_model
        ids = batch.target.ids[batch.target.places]
        states = self.decoder.token_states(embeddings, batch.target)
        loss, losses = self.loss(language_model, states, ids, likeliest=True)
        return loss, losses.each, (losses.likeliest == language_model.places(ids)).float().mean()


def add_noise(embeddings: Tensor, deviation: float) -> Tensor:
    """Add Gaussian noise to unit vectors ``[B, E]``, and bring them back to unit norm."""
    if not deviation:
        return embeddings
    return F.normalize(embeddings + deviation * torch.randn_like(embeddings), dim=-1)
