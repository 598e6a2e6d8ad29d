"""Two numbers that show a collapse of embeddings before any metric does."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


@torch.no_grad()
def embedding_std(x: Tensor) -> Tensor:
    """Mean over dimensions of the standard deviation of the unit vectors, times √E.

    1 for directions spread evenly over the sphere, 0 when all are equal (as SimSiam measures collapse,
    arXiv 2011.10566, section 4.1).

    Args:
        x: ``[B, E]``, of any norm.
    """
    unit = F.normalize(x.float(), dim=-1)  # [B, E]
    return unit.std(dim=0, correction=0).mean() * math.sqrt(x.shape[1])


@torch.no_grad()
def effective_rank(x: Tensor) -> Tensor:
    """exp of the entropy of the normalised singular values, between 1 and min(B, E).

    Roy & Vetterli, "The effective rank" (EUSIPCO 2007). The rows are taken as they are, not centred: equal
    rows have rank 1. NaN when an entry is not finite.

    Args:
        x: ``[B, E]``.
    """
    x = x.float()
    if not bool(x.isfinite().all()):
        return x.new_tensor(math.nan)
    singular = torch.linalg.svdvals(x)
    share = singular / singular.sum().clamp_min(torch.finfo(x.dtype).tiny)
    return torch.special.entr(share).sum().exp()
