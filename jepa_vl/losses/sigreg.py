"""SIGReg (LeJEPA): alignment, with embeddings held to N(0, I) by tests of random projections."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from jepa_vl.distributed import require_even_rows, sum_ranks, world
from jepa_vl.errors import RecipeError
from jepa_vl.losses.base import Loss, LossOutput
from jepa_vl.losses.inputs import exact, no_autocast, require_batch

_REACH, _KNOTS = 5.0, 17  # of the integral over t, as in the paper's Algorithm 1


def epps_pulley(x: Tensor) -> Tensor:
    """Epps-Pulley statistic of each column against N(0, 1), over the rows of all ranks.

        N ∫ | (1/N) Σₙ exp(i t xₙ) - exp(-t²/2) |² exp(-t²/2) dt

    by the trapezoidal rule on 17 points of [-5, 5]. The integrand is even, so only t ≥ 0 is computed. Linear
    in N, where the integral's closed form is quadratic, and equal to it to four digits or more while no two
    values are further than about 5 apart.

    Args:
        x: ``[B, S]``, S samples of B values each.

    Returns:
        ``[S]``.
    """
    rows = x.shape[0] * world().size
    t = torch.linspace(0, _REACH, _KNOTS // 2 + 1, dtype=x.dtype, device=x.device)  # [knots]
    gaussian = torch.exp(-t.square() / 2)
    step = _REACH / (_KNOTS // 2)
    width = torch.full_like(t, 2 * step)  # both halves of the line
    width[0] = width[-1] = step
    angle = x[:, :, None] * t  # [B, S, knots]
    moments = sum_ranks(torch.stack((angle.cos().sum(dim=0), angle.sin().sum(dim=0)))) / rows
    gap = (moments[0] - gaussian).square() + moments[1].square()  # [S, knots]
    return rows * (gap * gaussian * width).sum(dim=1)


class SIGReg(Loss):
    """Sketched isotropic Gaussian regularisation (LeJEPA, arXiv 2511.08544, Algorithm 1).

    ``(1 - weight) · mean (p - t)² + weight · ½[S(p) + S(t)]``, where S is the mean Epps-Pulley statistic of
    the embeddings projected on random unit directions. A distribution whose every projection is N(0, 1) is
    N(0, I), and cannot be collapsed. The paper of this model names the loss and leaves it to future work
    (section 2).

    Embeddings are not normalised. Directions are drawn anew in every training step, from ``seed`` and the
    number of steps so far (which is saved), and so are equal on all ranks.

    Logged: ``alignment`` and ``gaussianity``, the two terms before their weights.

    Args:
        weight: λ, between 0 and 1.
        directions: Random projections in each step.
        seed: Of the directions.

    Raises:
        RecipeError: A weight outside 0 to 1, or no direction.
        UserError: A training batch of one sample, or batches of different sizes over ranks (in ``forward``).
    """

    min_batch = 2

    def __init__(self, *, weight: float = 0.05, directions: int = 256, seed: int = 0) -> None:
        super().__init__()
        if not 0 <= weight <= 1:
            raise RecipeError(f"loss.weight must be between 0 and 1, got {weight}")
        if directions < 1:
            raise RecipeError(f"loss.directions must be 1 or more, got {directions}")
        self.weight = weight
        self.directions = directions
        self.seed = seed
        self.steps = 0

    def get_extra_state(self) -> Tensor:
        """Return the number of training steps so far, for the checkpoint."""
        return torch.tensor(self.steps)

    def set_extra_state(self, state: Any) -> None:
        """Go on from a checkpoint's number of steps."""
        self.steps = int(state)

    def forward(self, predicted: Tensor, target: Tensor, group: Tensor) -> LossOutput:
        """Return the loss and its terms; ``group`` does not matter."""
        require_batch(self, predicted)
        require_even_rows(predicted)
        with no_autocast(predicted):
            p, t = exact(predicted), exact(target)  # [B, E]
            alignment = F.mse_loss(p, t)
            sketch = self._sketch(p)  # [E, S]
            gaussianity = (epps_pulley(p @ sketch).mean() + epps_pulley(t @ sketch).mean()) / 2
            loss = (1 - self.weight) * alignment + self.weight * gaussianity
        if self.training:
            self.steps += 1
        return loss, {"alignment": alignment.detach(), "gaussianity": gaussianity.detach()}

    def _sketch(self, x: Tensor) -> Tensor:
        """Draw this step's unit directions ``[E, S]``; on the CPU, so that every machine draws the same."""
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.steps) % 2**63)
        directions = torch.randn(x.shape[1], self.directions, generator=generator, dtype=torch.float64)
        return F.normalize(directions, dim=0).to(x)
