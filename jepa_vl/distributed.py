"""Rows and sums over all ranks, with the backward that makes DDP's mean gradient equal one process's.

DDP averages the parameters' gradients over W ranks. When the loss of rank r is ℓ_r and depends on the
embeddings of every rank, the gradient of L = (1/W) Σ_r ℓ_r needs ∂ℓ_r/∂x_s for r ≠ s too: the backward of
a gather must therefore *sum* what all ranks say about the rows of rank s. Without that sum the loss has
the right value and the wrong gradient.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor


class World(NamedTuple):
    """Which of how many processes this is."""

    rank: int
    size: int


def world() -> World:
    """Return this process's rank and the number of processes; (0, 1) when not distributed."""
    if dist.is_available() and dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size())
    return World(0, 1)


def gather_rows(x: Tensor) -> Tensor:
    """Stack every rank's rows in rank order, ``[B, …] → [W·B, …]``, differentiably.

    The backward sums the gradient over ranks. Every rank must hold the same number of rows, as a
    distributed sampler makes sure. The identity when not distributed.
    """
    return x if world().size == 1 else _GatherRows.apply(x)


def gather_ids(ids: Tensor) -> Tensor:
    """Stack every rank's ids in rank order, ``[B] → [W·B]``; no gradient."""
    return ids if world().size == 1 else _stack(ids)


def sum_ranks(x: Tensor) -> Tensor:
    """Sum a tensor over ranks, elementwise and differentiably: for moments of the global batch."""
    return x if world().size == 1 else _SumRanks.apply(x)


def _stack(x: Tensor) -> Tensor:
    rows = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(world().size)]
    dist.all_gather(rows, x.contiguous())
    return torch.cat(rows)


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.rows = x.shape[0]
        return _stack(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        grad = grads[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(grad)
        return grad.narrow(0, world().rank * ctx.rows, ctx.rows)


class _SumRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        grad = grads[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(grad)
        return grad
