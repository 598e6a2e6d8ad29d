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

from jepa_vl.errors import UserError

# renamed in torch 2.14; the old name warns there
_reduce_scatter = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor


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

    The backward sums the gradient over ranks. The identity when not distributed.

    Raises:
        UserError: The ranks hold different numbers of rows.
    """
    return x if world().size == 1 else _GatherRows.apply(x)


def gather_ids(ids: Tensor) -> Tensor:
    """Stack every rank's ids in rank order, ``[B] → [W·B]``; no gradient.

    Raises:
        UserError: The ranks hold different numbers of ids.
    """
    return ids if world().size == 1 else _stack(ids)


def sum_ranks(x: Tensor) -> Tensor:
    """Sum a tensor over ranks, elementwise and differentiably: for moments of the global batch."""
    return x if world().size == 1 else _SumRanks.apply(x)


def log_sum_exp_ranks(x: Tensor) -> Tensor:
    """Log Σ exp over ranks, elementwise and differentiably; the identity when not distributed.

    For a log-sum-exp over rows of which each rank has its own. ``x`` must be finite.
    """
    return x if world().size == 1 else _LogSumExpRanks.apply(x)


def require_even_rows(x: Tensor) -> None:
    """Compare the numbers of rows of all ranks.

    Gathering different ones hangs, aborts, or cuts rows off, and moments would be divided by a wrong number.

    Raises:
        UserError: The ranks hold different numbers of rows.
    """
    if world().size == 1:
        return
    mine = torch.tensor([x.shape[0]], device=x.device)
    counts = [torch.empty_like(mine) for _ in range(world().size)]
    dist.all_gather(counts, mine)
    rows = torch.cat(counts).tolist()
    if len(set(rows)) > 1:
        raise UserError(
            f"the processes have batches of {', '.join(map(str, rows))} samples, but must have equally many: "
            "give the training loader a sampler and drop_last=True that fill every batch on every process"
        )


def _stack(x: Tensor) -> Tensor:
    require_even_rows(x)
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
        grad = grads[0].contiguous()
        out = grad.new_empty(ctx.rows, *grad.shape[1:])
        _reduce_scatter(out, grad)
        return out


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


class _LogSumExpRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        high = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(high, op=dist.ReduceOp.MAX)
        total = (x - high).exp()
        dist.all_reduce(total)
        out = high + total.log()
        ctx.save_for_backward(x, out)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        x, out = ctx.saved_tensors
        grad = grads[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(grad)
        return grad * (x - out).exp()
