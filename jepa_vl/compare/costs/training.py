"""What training costs: parameters by part, operations a sample, peak memory."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor

from jepa_vl.compare.costs.flops import count_flops
from jepa_vl.compare.costs.memory import peak_memory_mib, reset_peak_memory
from jepa_vl.compare.costs.parameters import parameters_by_part
from jepa_vl.objectives.base import Objective
from jepa_vl.sample import Batch
from jepa_vl.vision.base import VisionEncoder

__all__ = ["TrainingCost", "count", "peak_memory_mib", "reset_peak_memory"]


@dataclass(frozen=True)
class TrainingCost:
    """What a training sample costs.

    Attributes:
        flops_per_sample: Operations of a training step, forward and backward, a sample; what `flops_vision`
            and `flops_text` count is not in it. See `count_flops` for what is not counted.
        flops_vision: Operations by which a frozen vision encoder sees one sample; 0 for one that learns,
            which is part of the step. Once a sample where tokens are cached, else in every step.
        flops_text: Operations by which frozen text encoders read the batch's texts for the first time, a
            sample; what they said is remembered, and costs nothing in later steps.
        parameters: See `parameters_by_part`.
    """

    flops_per_sample: float
    flops_vision: float
    flops_text: float
    parameters: dict[str, dict[str, int]]


def count(objective: Objective, batch: Batch) -> TrainingCost:
    """Count parameters, and the operations of one training step on a batch, which is to be on its device.

    The step is done by a copy in training mode: weights, gradients, statistics, memories and random
    numbers of the objective stay as they are, and nothing is logged. Call it before training, so that
    `TrainingCost.flops_text` finds nothing remembered.
    """
    with _set_aside(objective) as trained, torch.random.fork_rng():
        encoder = trained.vision_encoder
        frozen = encoder if isinstance(encoder, VisionEncoder) and encoder.frozen else None
        if frozen is not None and batch.video is not None:
            batch = replace(batch, tokens=trained.visual_tokens(batch), video=None)
        first = count_flops(lambda: _step(trained, batch))
        again = count_flops(lambda: _step(trained, batch))
        seen = 0 if frozen is None else count_flops(lambda: see_one(frozen, batch.index.device))
    return TrainingCost(
        flops_per_sample=again / len(batch),
        flops_vision=float(seen),
        flops_text=(first - again) / len(batch),
        parameters=parameters_by_part(objective),
    )


@torch.no_grad()
def see_one(encoder: VisionEncoder, device: torch.device) -> Tensor:
    """Encode one black clip: what an encoder computes depends on the size alone."""
    read = encoder.preprocessing
    video = torch.zeros(1, read.num_frames, 3, *read.size, dtype=torch.uint8, device=device)
    return encoder(video)


def _step(objective: Objective, batch: Batch) -> None:
    objective.zero_grad()
    loss = objective.training_step(batch, 0)
    assert isinstance(loss, Tensor)
    loss.backward()


@contextmanager
def _set_aside(objective: Objective) -> Iterator[Objective]:
    """Yield a copy in training mode that shares frozen weights, and whose trainer does nothing."""
    shared: dict[int, Any] = {id(p): p for p in objective.parameters() if not p.requires_grad}
    trainer = getattr(objective, "_trainer", None)
    if trainer is not None:
        shared[id(trainer)] = None  # the copy has none
    stand_in = Fabric(accelerator="cpu", devices=1)  # held here: a module refers to it weakly
    copied: Objective = copy.deepcopy(objective, shared)
    copied.fabric = stand_in  # its own word for a step outside of a trainer; it logs to nobody
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield copied.train()
