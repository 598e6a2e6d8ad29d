"""`make_plan`: what a recipe takes to train, from its shapes alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jepa_vl.compare.costs.parameters import parameters_by_part
from jepa_vl.planning.cards import Card
from jepa_vl.planning.memory import Memory, memory
from jepa_vl.planning.model import (
    Lengths,
    build_on_shapes,
    cut_lengths,
    data_vocabularies,
    parts_beside,
    visual_tokens,
)
from jepa_vl.planning.settings import PRECISIONS, RunSize
from jepa_vl.planning.step import StepCost, step_cost

ID_BYTES, MASK_BYTES = 8, 1  # of a text's token in a batch


@dataclass(frozen=True)
class Plan:
    """What training takes.

    Attributes:
        objective: Name of its class.
        size: What the recipe says.
        frames: Of a sample; 0 where nothing is seen.
        visual_tokens: Of a sample.
        lengths: Tokens of a sample's texts, as they were asked for.
        sample_bytes: Bytes of a sample in a batch, by what they are.
        parameters: Part → ``trained`` and ``frozen`` numbers.
        step: Operations of a sample, and the memory of a step.
        memory: Of one process.
        card: What it would run on.
        utilisation: Share of the card's peak that is reached.
        notes: What had to be assumed.
    """

    objective: str
    size: RunSize
    frames: int
    visual_tokens: int
    lengths: Lengths
    sample_bytes: Mapping[str, int]
    parameters: Mapping[str, Mapping[str, int]]
    step: StepCost
    memory: Memory
    card: Card
    utilisation: float
    notes: tuple[str, ...]

    @property
    def flops_per_sample(self) -> float:
        """Operations a sample in every step: frozen texts are remembered, cached tokens were seen before."""
        return self.step.flops + (0.0 if self.size.cached else self.step.flops_vision)

    @property
    def samples(self) -> int | None:
        """Samples of the whole run."""
        return None if self.size.steps is None else self.size.steps * self.size.global_batch

    @property
    def card_hours(self) -> float | None:
        """Hours of one card for the whole run."""
        if self.samples is None:
            return None
        speed = self.card.teraflops * 1e12 * self.utilisation
        return self.samples * self.flops_per_sample / speed / 3600

    def as_dict(self) -> dict[str, Any]:
        """Return everything, for programs."""
        return {
            **dataclasses.asdict(self),
            "flops_per_sample": self.flops_per_sample,
            "samples": self.samples,
            "card_hours": self.card_hours,
            "wall_hours": None if self.card_hours is None else self.card_hours / self.size.processes,
            "memory_total": self.memory.total,
        }


def make_plan(values: dict[str, Any], *, lengths: Lengths, card: Card, utilisation: float) -> Plan:
    """Plan a recipe: neither weights nor data are read.

    Args:
        values: The recipe, resolved and with its defaults.
        lengths: Tokens of every sample's texts.
        card: What it would run on.
        utilisation: Share of the card's peak that is reached.

    Raises:
        RecipeError: The recipe trains nothing, or cannot be built.
        UserError: The configuration of a model cannot be had.
    """
    size = RunSize.of(values)
    objective = build_on_shapes(values, PRECISIONS[size.precision][0])
    lengths, cut = cut_lengths(objective, lengths)
    notes = [*size.notes, *cut]
    if data_vocabularies(objective):
        notes.append("vocabulary 'data' is counted as 'all': which tokens the data have is not known")
    beside = parts_beside(objective)
    parameters = parameters_by_part(objective)
    for name, part in beside.items():
        parameters[name] = {"trained": 0, "frozen": sum(p.numel() for p in part.parameters())}
    step = step_cost(objective, size, lengths)
    return Plan(
        objective=type(objective).__name__,
        size=size,
        frames=0 if objective.vision_encoder is None else objective.vision_encoder.preprocessing.num_frames,
        visual_tokens=visual_tokens(objective),
        lengths=lengths,
        sample_bytes=_sample_bytes(objective, size, lengths),
        parameters=parameters,
        step=step,
        memory=memory(objective, beside, size, step),
        card=card,
        utilisation=utilisation,
        notes=tuple(notes),
    )


def _sample_bytes(objective: Any, size: RunSize, lengths: Lengths) -> dict[str, int]:
    found = {}
    encoder = objective.vision_encoder
    if encoder is not None:
        height, width = encoder.preprocessing.size
        found["frames"] = encoder.preprocessing.num_frames * 3 * height * width
        if encoder.frozen:
            found["visual tokens"] = visual_tokens(objective) * encoder.dim * size.cache_bytes
    for name in ("query", "target"):
        found[name] = getattr(lengths, name) * (ID_BYTES + MASK_BYTES)
    return found
