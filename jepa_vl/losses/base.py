"""The contract of a loss (D(Ŝ_Y, S_Y) of section 2)."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from jepa_vl.component import Component

LossOutput = tuple[Tensor, dict[str, Tensor]]


class Loss(Component):
    """Predicted ``[B, E]``, target ``[B, E]`` and group ids ``[B]`` → scalar, and what is worth logging.

    Always computed in float32, whatever the precision of its inputs. Under distributed training B is
    the local batch; a loss that compares samples gathers the other ranks' itself, with a backward that
    makes the gradient after DDP's mean equal to that of one process.

    Attributes:
        needs_frozen_target: The loss has no term against collapse, so that the text encoder must be
            frozen and without a head (cosine, l1, l2).
        min_batch: Smallest global batch for which it has a gradient.
    """

    needs_frozen_target: bool = False
    min_batch: int = 1

    @abstractmethod
    def forward(self, predicted: Tensor, target: Tensor, group: Tensor) -> LossOutput:
        """Return the scalar loss and a dict of detached scalars."""
