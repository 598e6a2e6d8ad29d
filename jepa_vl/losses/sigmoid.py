"""SigLIP's loss: every pair of the batch is a yes-or-no question of its own; multi-positive by group."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from jepa_vl.distributed import gather_rows
from jepa_vl.errors import RecipeError
from jepa_vl.losses.base import Loss, LossOutput
from jepa_vl.losses.inputs import exact, no_autocast, require_batch
from jepa_vl.losses.log_sigmoid import negative_log_sigmoid
from jepa_vl.losses.pairs import Pairs
from jepa_vl.losses.tiles import check_chunk


class SigmoidLoss(Loss):
    """Sigmoid loss for language-image pre-training (Zhai et al., arXiv 2303.15343, equation 3).

        -(1/B) Σᵢ Σⱼ log σ(zᵢⱼ (s pᵢ·tⱼ + b))

    on unit vectors, with zᵢⱼ = 1 where i and j are of one group (the own pair always is) and -1
    elsewhere. It sums over pairs: in a mixture with questions, whose answers many samples share, most
    positive pairs are theirs and weigh more than captions, where `InfoNCE` averages over rows. Scale and bias
    are learned. Rows are local and columns gathered from all ranks, with the
    gradient of one process.

    Logged: ``temperature`` (1/s), ``bias``, ``in_batch_recall``.

    Args:
        temperature: 1/s at the start.
        bias: b at the start; as negative as negatives are many, so that training does not begin with
            unlearning that most pairs match.
        chunk: Rows and columns of the tiles in which logits are computed; null for what suits the device.
            It changes memory and speed, and nothing else.

    Raises:
        RecipeError: The temperature is not positive, or the chunk below 1.
        UserError: A training batch of one sample (in ``forward``).
    """

    min_batch = 2

    def __init__(self, *, temperature: float = 0.1, bias: float = -10.0, chunk: int | None = None) -> None:
        super().__init__()
        if not temperature > 0:
            raise RecipeError(f"loss.temperature must be above 0, got {temperature}")
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.bias = nn.Parameter(torch.tensor(float(bias)))
        self.chunk = check_chunk(chunk)

    def forward(self, predicted: Tensor, target: Tensor, group: Tensor) -> LossOutput:
        """Return the mean over the local rows, and what is logged."""
        require_batch(self, predicted)
        with no_autocast(predicted):
            p, t = exact(predicted), exact(target)  # [B, E]
            pairs = Pairs.of(group)
            scale = exact(self.log_scale).exp()
            total, nearest = negative_log_sigmoid(
                p, gather_rows(t), scale, exact(self.bias), pairs, chunk=self.chunk
            )
            loss = total / len(p)
        return loss, {
            "temperature": scale.detach().reciprocal(),
            "bias": self.bias.detach().clone(),
            "in_batch_recall": nearest.to(p.dtype).mean(),
        }
