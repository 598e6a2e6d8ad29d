"""One training step on shapes: its operations, and the most memory that it holds beside the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from jepa_vl.compare.costs.flops import count_flops
from jepa_vl.compare.costs.training import see_one
from jepa_vl.errors import UserError
from jepa_vl.objectives.trained import TrainedObjective
from jepa_vl.planning.live import LiveBytes
from jepa_vl.planning.model import Lengths, remember_texts, shape_batch
from jepa_vl.planning.settings import PRECISIONS, RunSize
from jepa_vl.planning.shapes import shapes_only


@dataclass(frozen=True)
class StepCost:
    """What a step takes.

    Attributes:
        flops: Operations a sample, forward and backward, without what the next two count.
        flops_vision: Operations a sample by which a frozen vision encoder sees it; 0 for one that learns.
        flops_text: Operations a sample by which frozen text encoders read its target for the first time.
        working_bytes: The most bytes that are held at once besides weights, gradients and optimizer.
        by_part: Who made those: parts of the objective, ``loss``, ``batch``, ``backward``, ``step``.
    """

    flops: float
    flops_vision: float
    flops_text: float
    working_bytes: int
    by_part: Mapping[str, int]


def step_cost(objective: TrainedObjective, size: RunSize, lengths: Lengths) -> StepCost:
    """Do one step of a process on shapes; gradients of the step before are there until its backward pass."""
    half = PRECISIONS[size.precision][1]
    encoder = objective.vision_encoder
    frozen = encoder if encoder is not None and encoder.frozen else None
    live = LiveBytes()
    with shapes_only(), _processes(size.processes):
        seen = 0 if frozen is None else count_flops(lambda: see_one(frozen, torch.device("cpu")))
        batch = shape_batch(objective, size.batch, lengths, cached=size.cached)
        read = remember_texts(objective, batch)
        trained = [p for p in objective.parameters() if p.requires_grad]
        autocast = nullcontext() if half is None else torch.autocast("cpu", half)

        def step() -> None:
            with live:
                with live.part("batch"):
                    fresh = shape_batch(objective, size.batch, lengths, cached=size.cached)
                with live.part("gradients"):
                    for parameter in trained:
                        parameter.grad = torch.empty_like(parameter)
                with autocast, live.parts(dict(objective.named_children())):
                    loss = objective.training_step(fresh, 0)
                assert isinstance(loss, Tensor)
                objective.zero_grad()
                with live.part("backward"):
                    loss.backward()

        live.leave_out(objective.parameters())
        live.leave_out(objective.buffers())
        flops = count_flops(step)
    gradients = sum(p.numel() * p.element_size() for p in trained)
    made = {name: count for name, count in live.at_peak.items() if name != "gradients" and count}
    rest = 0 if size.cached or frozen is None else seen * size.batch  # seen again in every step
    return StepCost(
        flops=(flops - rest) / size.batch,
        flops_vision=float(seen),
        flops_text=read / size.batch,
        working_bytes=max(0, live.peak - gradients),
        by_part=made,
    )


@contextmanager
def _processes(count: int) -> Iterator[None]:
    """Have the losses see a world of so many processes; nothing is sent.

    Raises:
        UserError: This process is one of several already.
    """
    if count == 1:
        yield
        return
    if dist.is_initialized():
        raise UserError("a plan of several processes cannot be made by one of several processes")
    import torch.testing._internal.distributed.fake_pg  # noqa: F401 - registers torch's backend that sends nothing

    dist.init_process_group("fake", rank=0, world_size=count)
    try:
        yield
    finally:
        dist.destroy_process_group()
