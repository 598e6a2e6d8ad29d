"""Bidirectional InfoNCE between predicted and target embeddings (section 2), multi-positive by group."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jepa_vl.distributed import gather_rows, log_sum_exp_ranks
from jepa_vl.errors import RecipeError
from jepa_vl.losses.base import Loss, LossOutput
from jepa_vl.losses.inputs import exact, no_autocast, require_batch
from jepa_vl.losses.log_sum_exp import log_sum_exps
from jepa_vl.losses.pairs import Pairs
from jepa_vl.losses.tiles import check_chunk

MAX_SCALE = 100.0


class InfoNCE(Loss):
    """Each prediction must find its target among the batch's, and each target its prediction.

    With unit vectors pᵢ, tᵢ and s = 1/τ, row i of group gᵢ costs the mean of

        -log exp(s pᵢ·tᵢ) / (exp(s pᵢ·tᵢ) + Σ_{gⱼ ≠ gᵢ} wⱼ exp(s pᵢ·tⱼ))
        -log exp(s pᵢ·tᵢ) / (exp(s pᵢ·tᵢ) + Σ_{gⱼ ≠ gᵢ} exp(s pⱼ·tᵢ))

    The other members of a row's group are neither positives nor negatives. With ``distinct_targets``
    wⱼ = 1/(size of gⱼ): a text that stands several times in the batch is one class and not several
    negatives. The softmax then runs over classes, each once, and what it approaches is the posterior
    p(text | video, query). A softmax over all columns, as CLIP's, approaches the pointwise mutual
    information instead, which ranks rare texts too high where frequencies are uneven; and with
    wⱼ = 1 a frequent text weighs more as a negative than as a positive. Without repeats the three
    are the same, and exactly CLIP's loss.

    Rows are local and columns gathered from all ranks, with the gradient of one process.

    Logged: ``temperature``; ``in_batch_recall`` (share of predictions whose nearest target is of their own
    group); ``ln_b``, the loss when all embeddings are equal, which is ln B without repeats.

    Args:
        temperature: τ, at the start when learnable.
        learnable: Learn log(1/τ), clamped to 1/τ ≤ 100 like CLIP's.
        distinct_targets: Count a target that is repeated in the batch once.
        chunk: Rows and columns of the tiles in which logits are computed; null for what suits the device.
            It changes memory and speed, and nothing else.

    Raises:
        RecipeError: The temperature is below 0.01, or the chunk below 1.
        UserError: A training batch of one sample (in ``forward``).
    """

    min_batch = 2

    def __init__(
        self,
        *,
        temperature: float = 0.07,
        learnable: bool = True,
        distinct_targets: bool = True,
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if not temperature >= 1 / MAX_SCALE:
            raise RecipeError(f"loss.temperature must be at least {1 / MAX_SCALE}, got {temperature}")
        log_scale = torch.tensor(-math.log(temperature))
        if learnable:
            self.log_scale = nn.Parameter(log_scale)
        else:
            self.register_buffer("log_scale", log_scale, persistent=False)
        self.distinct_targets = distinct_targets
        self.chunk = check_chunk(chunk)

    def scale(self) -> Tensor:
        """Return 1/τ, at most 100."""
        # clamps the parameter itself: a clamped copy would have no gradient to come back by
        with torch.no_grad():
            self.log_scale.clamp_(max=math.log(MAX_SCALE))
        return exact(self.log_scale).exp()

    def forward(self, predicted: Tensor, target: Tensor, group: Tensor) -> LossOutput:
        """Return the mean over the local rows, and what is logged."""
        require_batch(self, predicted)
        with no_autocast(predicted):
            p, t = exact(predicted), exact(target)  # [B, E]
            pairs = Pairs.of(group)
            share = pairs.multiplicity.to(p.dtype).reciprocal()  # [W·B]
            weight = share if self.distinct_targets else torch.ones_like(share)
            scale = self.scale()
            others = log_sum_exps(p, gather_rows(t), scale, pairs, weight, chunk=self.chunk)
            to_predicted = log_sum_exp_ranks(others.column)[pairs.own]  # [B]
            # -log of own / (own + others) is -log σ(own - others)
            loss = (
                -(F.logsigmoid(others.own - others.row) + F.logsigmoid(others.own - to_predicted)).mean() / 2
            )
        return loss, {
            "temperature": scale.detach().reciprocal(),
            "in_batch_recall": others.nearest.to(p.dtype).mean(),
            "ln_b": self._ln_b(pairs, share),
        }

    def _ln_b(self, pairs: Pairs, share: Tensor) -> Tensor:
        """Log of what a row's softmax runs over, the mean of both directions and of the local rows."""
        single = (1 + len(share) - pairs.multiplicity[pairs.own]).to(share.dtype).log().mean()
        groups = share.sum().log()
        return (single + groups) / 2 if self.distinct_targets else single
