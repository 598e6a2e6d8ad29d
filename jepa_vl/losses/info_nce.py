"""Bidirectional InfoNCE between predicted and target embeddings (section 2), multi-positive by group."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jepa_vl.distributed import gather_rows
from jepa_vl.errors import RecipeError
from jepa_vl.losses.base import Loss, LossOutput
from jepa_vl.losses.inputs import exact, no_autocast, require_batch
from jepa_vl.losses.pairs import Pairs

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

    Raises:
        RecipeError: The temperature is below 0.01.
        UserError: A training batch of one sample (in ``forward``).
    """

    min_batch = 2

    def __init__(
        self,
        *,
        temperature: float = 0.07,
        learnable: bool = True,
        distinct_targets: bool = True,
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
            p, t = (F.normalize(exact(x), dim=-1) for x in (predicted, target))  # [B, E]
            pairs = Pairs.of(group)
            scale = self.scale()
            to_target = scale * (p @ gather_rows(t).T)  # [B, W·B]
            to_predicted = scale * (t @ gather_rows(p).T)  # [B, W·B]
            # log-weights: 0 for what counts once, -inf for what does not count
            once = torch.zeros_like(to_target).masked_fill(~pairs.rivals, -math.inf)
            shared = once
            if self.distinct_targets:
                shared = once - pairs.multiplicity.to(once.dtype).log()
                shared = shared.scatter(1, pairs.own[:, None], 0.0)  # own target: the whole of its class
            loss = (
                F.cross_entropy(to_target + shared, pairs.own)
                + F.cross_entropy(to_predicted + once, pairs.own)
            ) / 2
            ln_b = (shared.logsumexp(1) + once.logsumexp(1)).mean() / 2
        return loss, {
            "temperature": scale.detach().reciprocal(),
            "in_batch_recall": pairs.recall(to_target),
            "ln_b": ln_b,
        }
