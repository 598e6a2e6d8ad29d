"""What every loss does first: refuse a batch that is too small, and compute in float32 at least."""

from __future__ import annotations

import torch
from torch import Tensor

from jepa_vl.distributed import world
from jepa_vl.errors import UserError
from jepa_vl.losses.base import Loss


def exact(x: Tensor) -> Tensor:
    """Raise float16 and bfloat16 to float32; leave float32 and float64 as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def no_autocast(x: Tensor) -> torch.autocast:
    """Return a context without autocast on the device of ``x``."""
    return torch.autocast(x.device.type, enabled=False)


def require_batch(loss: Loss, predicted: Tensor) -> None:
    """Refuse a training batch that is smaller than ``loss.min_batch``.

    The last batch of an evaluation may be that small: it has no gradient to lose.

    Raises:
        UserError: The global batch has too few samples to train on.
    """
    rows = predicted.shape[0] * world().size
    if loss.training and rows < loss.min_batch:
        raise UserError(
            f"{type(loss).__name__} compares the samples of a batch with each other and needs at least "
            f"{loss.min_batch} of them, but this batch has {rows}: set data.batch_size to {loss.min_batch} "
            "or more"
        )
