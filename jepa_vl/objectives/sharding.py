"""An objective whose trained parts are sharded over processes, layer by layer (torch's FSDP2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from jepa_vl.component import Component
from jepa_vl.objectives.layers import trained_layers


def shard_parts(objective: nn.Module, mesh: DeviceMesh) -> None:
    """Shard weights, gradients and optimizer states of the trained parts over a mesh of one dimension.

    Each layer is gathered when it is run. Frozen parts stay whole on every process, and so does a part
    with nothing but single numbers, such as a loss and its temperature, whose gradients are averaged.
    """
    for part in objective.children():
        learning = [p for p in part.parameters() if p.requires_grad]
        if not learning:
            continue
        if all(p.ndim == 0 for p in learning):
            for parameter in learning:
                parameter.register_post_accumulate_grad_hook(_average)
            continue
        for module in _with_own_methods(part):
            for layer in trained_layers(module):
                if not isinstance(layer, FSDPModule):
                    fully_shard(layer, mesh=mesh)
            fully_shard(module, mesh=mesh)
            for method in getattr(module, "forward_methods", ()):
                register_fsdp_forward_method(module, method)


def gather_for_evaluation(objective: nn.Module) -> None:
    """Hold all weights on every process: each may then take as many steps of a text as it needs."""
    for module in objective.modules():
        if isinstance(module, FSDPModule):
            module.set_reshard_after_forward(False, recurse=False)
            module.unshard()


def shard_again(objective: nn.Module) -> None:
    """Go back to shards after an evaluation."""
    for module in objective.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
            module.set_reshard_after_forward(True, recurse=False)


def total_norm(gradients: Iterable[Tensor]) -> Tensor:
    """Norm of gradients of which some are sharded."""
    squares = [_whole(g.norm()).square() for g in gradients]
    return torch.stack(squares).sum().sqrt() if squares else torch.zeros(())


def clip_to_norm(parameters: Iterable[nn.Parameter], most: float) -> None:
    """Scale gradients, of which some are sharded, to a norm of at most ``most``."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    scale = (most / (total_norm(gradients) + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        local: Tensor = gradient.to_local() if isinstance(gradient, DTensor) else gradient
        local.mul_(scale)


def _whole(x: Tensor) -> Tensor:
    return x.full_tensor() if isinstance(x, DTensor) else x


def _with_own_methods(part: nn.Module) -> list[nn.Module]:
    """A part, after the parts in it that are called by themselves."""
    inner = [m for m in part.modules() if m is not part and isinstance(m, Component)]
    return [*inner[::-1], part]


@torch.no_grad()
def _average(parameter: Any) -> None:
    if parameter.grad is not None:
        dist.all_reduce(parameter.grad)
        parameter.grad /= dist.get_world_size()
