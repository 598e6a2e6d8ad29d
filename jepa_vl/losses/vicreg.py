"""VICReg: alignment, with variance and covariance terms against collapse instead of negatives."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from jepa_vl.distributed import require_even_rows, sum_ranks, world
from jepa_vl.losses.base import Loss, LossOutput
from jepa_vl.losses.inputs import exact, no_autocast, require_batch


class VICReg(Loss):
    """Variance-invariance-covariance regularisation (Bardes et al., arXiv 2105.04906, section 4.1).

    ``invariance · mean (p - t)² + variance · ½[v(p) + v(t)] + covariance · [c(p) + c(t)]``, where v is the
    mean over dimensions of max(0, 1 - std), and c the sum of the squared off-diagonal covariances over E.
    The means over E and the ½ follow the code that the authors' weights were chosen with. The paper of
    this model names the loss and leaves it to future work (section 2).

    Embeddings are not normalised. Moments are those of the global batch; they are summed over ranks and
    no row is gathered.

    Logged: the three terms, before their weights.

    Args:
        invariance: Weight of the alignment of predicted and target.
        variance: Weight of the hinge that keeps each dimension's standard deviation at 1.
        covariance: Weight of the decorrelation of dimensions.

    Raises:
        UserError: A training batch of one sample, or batches of different sizes over ranks (in ``forward``).
    """

    min_batch = 2

    def __init__(self, *, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0) -> None:
        super().__init__()
        self.invariance = invariance
        self.variance = variance
        self.covariance = covariance

    def forward(self, predicted: Tensor, target: Tensor, group: Tensor) -> LossOutput:
        """Return the loss and its terms; ``group`` does not matter."""
        require_batch(self, predicted)
        require_even_rows(predicted)
        with no_autocast(predicted):
            p, t = exact(predicted), exact(target)  # [B, E]
            invariance = F.mse_loss(p, t)
            (v_p, c_p), (v_t, c_t) = _spread(p), _spread(t)
            variance, covariance = (v_p + v_t) / 2, c_p + c_t
            loss = self.invariance * invariance + self.variance * variance + self.covariance * covariance
        return loss, {
            "invariance": invariance.detach(),
            "variance": variance.detach(),
            "covariance": covariance.detach(),
        }


def _spread(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return VICReg's variance and covariance terms of the rows ``[B, E]`` of all ranks."""
    rows = x.shape[0] * world().size
    x = x - sum_ranks(x.sum(dim=0)) / rows
    # one row (in evaluation) has no spread to speak of
    cov = sum_ranks(x.T @ x) / max(1, rows - 1)  # [E, E]
    diagonal = cov.diagonal()
    std = torch.sqrt(diagonal + 1e-4)
    return F.relu(1 - std).mean(), (cov.square().sum() - diagonal.square().sum()) / x.shape[1]
