"""Cosine, L1 and L2 losses to frozen targets (section 4.8): no negatives, and so no term against collapse."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from jepa_vl.losses.base import Loss, LossOutput
from jepa_vl.losses.inputs import exact, no_autocast


class CosineLoss(Loss):
    """1 - cos(predicted, target), averaged over the batch. Logged: ``cosine``, its complement."""

    needs_frozen_target = True

    def __init__(self) -> None:
        super().__init__()

    def forward(self, predicted: Tensor, target: Tensor, group: Tensor) -> LossOutput:
        """Return the mean over the local rows; ``group`` does not matter."""
        with no_autocast(predicted):
            cosine = F.cosine_similarity(exact(predicted), exact(target.detach()), dim=-1).mean()
        return 1 - cosine, {"cosine": cosine.detach()}


class L1Loss(Loss):
    """Mean absolute difference to the target over batch and dimensions. Logged: ``cosine``.

    Args:
        normalize: Scale each target to norm √E, so that the loss is of order 1 whatever the width and the
            text encoder. The paper does not say. The prediction is left as it is: with both normalised,
            L2 would be the cosine loss under another name.
    """

    needs_frozen_target = True

    def __init__(self, *, normalize: bool = True) -> None:
        super().__init__()
        self.normalize = normalize

    def forward(self, predicted: Tensor, target: Tensor, group: Tensor) -> LossOutput:
        """Return the mean over the local rows; ``group`` does not matter."""
        with no_autocast(predicted):
            p, t = exact(predicted), _aim(target, normalize=self.normalize)  # [B, E]
            return F.l1_loss(p, t), {"cosine": F.cosine_similarity(p, t, dim=-1).mean().detach()}


class L2Loss(Loss):
    """Mean squared difference to the target over batch and dimensions. Logged: ``cosine``.

    Args:
        normalize: Scale each target to norm √E, as in `L1Loss`: predicting zero then costs exactly 1.
    """

    needs_frozen_target = True

    def __init__(self, *, normalize: bool = True) -> None:
        super().__init__()
        self.normalize = normalize

    def forward(self, predicted: Tensor, target: Tensor, group: Tensor) -> LossOutput:
        """Return the mean over the local rows; ``group`` does not matter."""
        with no_autocast(predicted):
            p, t = exact(predicted), _aim(target, normalize=self.normalize)  # [B, E]
            return F.mse_loss(p, t), {"cosine": F.cosine_similarity(p, t, dim=-1).mean().detach()}


def _aim(target: Tensor, *, normalize: bool) -> Tensor:
    t = exact(target.detach())
    return F.normalize(t, dim=-1) * math.sqrt(t.shape[-1]) if normalize else t
