"""Memory of one process while it trains, by part and by what it is held for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from jepa_vl.compare.costs.parameters import TOKEN_EMBEDDING, part_of, tables
from jepa_vl.objectives.trained import TrainedObjective
from jepa_vl.planning.settings import RunSize
from jepa_vl.planning.step import StepCost

ADAM_STATES = 2  # running means of the gradient and of its square


@dataclass(frozen=True)
class PartBytes:
    """What one part holds through training: exact.

    Attributes:
        weights: Parameters and buffers.
        gradients: Of what is trained.
        optimizer: AdamW's two running means.
    """

    weights: int
    gradients: int
    optimizer: int


@dataclass(frozen=True)
class Memory:
    """Bytes of one process.

    Attributes:
        parts: Part → what it holds; exact.
        buckets: The copy of the gradients that DDP sends; exact.
        working: Activations, the loss and what else a step makes: the most at one moment, of tensors alone.
        working_by_part: Who made those.
    """

    parts: Mapping[str, PartBytes]
    buckets: int
    working: int
    working_by_part: Mapping[str, int]

    @property
    def total(self) -> int:
        """All of it."""
        held = sum(part.weights + part.gradients + part.optimizer for part in self.parts.values())
        return held + self.buckets + self.working


def memory(
    objective: TrainedObjective, beside: Mapping[str, nn.Module], size: RunSize, step: StepCost
) -> Memory:
    """Add up what a process holds at a run's batch and precision.

    Args:
        objective: What is trained, on shapes.
        beside: What is on the device without being part of it.
        size: Of the run.
        step: What a step makes.
    """
    parts: dict[str, list[int]] = {}
    embeddings = tables(objective)
    for name, parameter in objective.named_parameters():
        part = TOKEN_EMBEDDING if id(parameter) in embeddings else part_of(name)
        count = parameter.numel() * parameter.element_size()
        held = parts.setdefault(part, [0, 0, 0])
        if parameter.requires_grad:
            # what is trained is spread over the shards, as far as it comes out even
            count = -(-count // size.shards)
            held[1] += count
            held[2] += ADAM_STATES * count
        held[0] += count
    for name, tensor in objective.named_buffers():
        parts.setdefault(part_of(name), [0, 0, 0])[0] += tensor.numel() * tensor.element_size()
    for name, module in beside.items():
        tensors = [*module.parameters(), *module.buffers()]
        parts[name] = [sum(t.numel() * t.element_size() for t in tensors), 0, 0]
    gradients = sum(held[1] for held in parts.values())
    return Memory(
        parts={name: PartBytes(*held) for name, held in parts.items()},
        buckets=gradients if size.buckets else 0,
        working=step.working_bytes,
        working_by_part=step.by_part,
    )
