"""`TokenObjective`: the token-generative twin, next-token cross-entropy on the target (section 4.5)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from jepa_vl.data.base import SampleData
from jepa_vl.errors import RecipeError
from jepa_vl.language.base import LanguageModel
from jepa_vl.language.closing_up import close_up, predicting
from jepa_vl.language.greedy import greedy
from jepa_vl.language.likelihood import log_likelihoods
from jepa_vl.language.linear_cross_entropy import TokenLosses
from jepa_vl.language.prefix import read_prefix
from jepa_vl.metrics.embedding_health import effective_rank, embedding_std
from jepa_vl.objectives.base import GENERATE, SCORE, Collator
from jepa_vl.objectives.collate import Collate
from jepa_vl.objectives.layers import LayerSettings
from jepa_vl.objectives.token_loss import TokenLoss
from jepa_vl.objectives.trained import TrainedObjective
from jepa_vl.predictors.projection import VisualProjection
from jepa_vl.sample import Batch, Sample
from jepa_vl.schedule import OptimizerSettings
from jepa_vl.vision.base import VisionEncoder

RECALL_SAMPLES = 16


class TokenObjective(TrainedObjective):
    """Minimises -log p(Y | X_V, X_Q), token by token, with a causal language model.

    Its sequence is the visual tokens, the query and the target, as the predictor's is the visual tokens
    and the query.

    Args:
        vision_encoder: X_V → S_V.
        language_model: Says the target after visual tokens and query.
        optimizer: Learning rate, weight decay and schedule.
        layers: How the layers of what is trained are run.
    """

    vision_encoder: VisionEncoder
    abilities = frozenset({SCORE, GENERATE})

    def __init__(
        self,
        *,
        vision_encoder: VisionEncoder,
        language_model: LanguageModel,
        optimizer: OptimizerSettings = OptimizerSettings(),  # noqa: B008 - immutable
        layers: LayerSettings = LayerSettings(),  # noqa: B008 - immutable
    ) -> None:
        super().__init__(optimizer=optimizer, layers=layers)
        self.vision_encoder = vision_encoder
        self.language_model = language_model
        self.visual_projection = VisualProjection(vision_encoder.dim, language_model.dim)
        self.loss = TokenLoss()

    def setup(self, stage: str) -> None:
        """Tell the language model, before it is trained, what there is to say in the training split."""
        if stage == "fit":
            self.language_model.tell_texts(self._training_texts())

    def collator(self) -> Collator:
        """Tokenise queries and targets for the language model."""
        return Collate(query=self.language_model.query_tokenizer, target=self.language_model.target_tokenizer)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the mean cross-entropy over the batch's target tokens, the end token included."""
        loss, _ = self._target_losses(batch)
        numbers = {"perplexity": loss.detach().exp()}
        if self.logs_now:
            numbers |= self._health(batch)
        self.log_train(batch, loss, **numbers)
        return loss

    @torch.no_grad()
    def _health(self, batch: Batch) -> dict[str, Tensor]:
        """What `jepa` logs, as far as a language model has it.

        ``ln_v`` is the loss of a model that has learned nothing. The states are those after the last
        position of the prefix, of which the target's first token is predicted. The recall is among the
        targets of the batch's first samples, for it needs every pair of video and target.
        """
        states = read_prefix(self.language_model, *self.prefix(batch)).last  # [B, d]
        few = batch.select(range(min(len(batch), RECALL_SAMPLES)))
        texts = [sample.target for sample in few.samples]
        likeliest = torch.stack(self.score(few, [texts] * len(few))).argmax(dim=1)  # [few]
        vocabulary = self.language_model.logits(states[:1]).shape[-1]
        return {
            "ln_v": torch.tensor(math.log(vocabulary)),
            "in_batch_recall": (few.group[likeliest] == few.group).float().mean(),
            "state_std": embedding_std(states),
            "state_effective_rank": effective_rank(states),
        }

    @torch.no_grad()
    def score(self, batch: Batch, candidates: Sequence[Sequence[str]]) -> list[Tensor]:
        """Mean log-likelihood a token of each candidate, the end token included."""
        prefix = read_prefix(self.language_model, *self.prefix(batch))
        place = {text: i for i, text in enumerate(dict.fromkeys(t for texts in candidates for t in texts))}
        texts = self.language_model.target_tokenizer(list(place)).to(self.device)
        pairs = [(row, place[text]) for row, list_ in enumerate(candidates) for text in list_]
        scores = log_likelihoods(self.language_model, prefix, texts, pairs)  # [all pairs]
        return list(scores.split([len(list_) for list_ in candidates]))

    @torch.no_grad()
    def generate(self, batch: Batch, *, max_new_tokens: int = 32) -> list[str]:
        """Say the likeliest token, one after the other, until the end token."""
        prefix = read_prefix(self.language_model, *self.prefix(batch))
        return greedy(self.language_model, prefix, max_new_tokens=max_new_tokens)

    def _target_losses(self, batch: Batch) -> tuple[Tensor, TokenLosses]:
        """Return the loss, and what each of the target's real tokens costs."""
        embeddings, mask = self.prefix(batch)  # [B, P, d], [B, P]
        target = batch.target
        said = self.language_model.embed(target.ids[:, :-1])  # [B, L - 1, d]; the last predicts nothing
        both = torch.cat((embeddings, said), dim=1), torch.cat((mask, target.mask[:, :-1]), dim=1)
        length = both[1].shape[1]
        if batch.longest_text is not None:
            length = min(length, mask.shape[1] - batch.query.ids.shape[1] + batch.longest_text - 1)
        states, _ = self.language_model(*close_up(*both, length))
        return self.loss(self.language_model, predicting(states, mask, target), target.ids[target.places])

    def on_fit_start(self) -> None:
        """Refuse to go on from a checkpoint whose language model cannot say the training texts.

        Raises:
            RecipeError: The training data have changed since.
        """
        super().on_fit_start()
        lacking = self.language_model.unsayable(self._training_texts())
        if lacking:
            raise RecipeError(
                f"the language model of the checkpoint cannot say {len(lacking)} tokens of the training "
                f"texts, first '{lacking[0]}': the data have changed; start from its weights with "
                "--init_from instead"
            )

    def _training_texts(self) -> list[str]:
        data: SampleData | None = self.trainer.datamodule  # type: ignore[attr-defined]
        if data is None or not self.language_model.wants_texts:
            return []
        return texts_to_say(data.sample_set(data.train_split).samples)

    def prefix(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Embeddings ``[B, N + L, d]`` of visual tokens and query, and their mask."""
        visual = self.visual_projection(self.visual_tokens(batch))  # [B, N, d]
        words = self.language_model.embed(batch.query.ids)  # [B, L, d]
        mask = torch.cat((batch.query.mask.new_ones(visual.shape[:2]), batch.query.mask), dim=1)
        return torch.cat((visual, words), dim=1), mask


def texts_to_say(samples: Sequence[Sample]) -> list[str]:
    """Return targets, candidates and labels of samples, each once, in the order they first stand in."""
    found: dict[str, None] = {}
    lists: set[int] = set()  # many samples share one list of candidates
    for sample in samples:
        found.setdefault(sample.target)
        found.setdefault(sample.label or "")
        if sample.candidates is not None and id(sample.candidates) not in lists:
            lists.add(id(sample.candidates))
            found |= dict.fromkeys(sample.candidates)
    return [text for text in found if text]
