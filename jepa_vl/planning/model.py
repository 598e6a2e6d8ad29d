"""A recipe's objective as shapes, and a batch of shapes for it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor

from jepa_vl.checkpoint import build_objective, objective_class
from jepa_vl.compare.costs.flops import count_flops
from jepa_vl.errors import RecipeError
from jepa_vl.language.data_vocabulary import DataVocabulary
from jepa_vl.objectives.base import Objective
from jepa_vl.objectives.decoder import DecoderObjective
from jepa_vl.objectives.layers import checkpoint_layers
from jepa_vl.objectives.trained import TrainedObjective
from jepa_vl.planning.shapes import shapes_only, strip_values
from jepa_vl.sample import Batch, Sample, TextTokens
from jepa_vl.text.memo import EmbeddingMemo

#: Where a planned batch's samples would be from; nothing reads them.
NOBODY = Sample(id="planned", media="", target="planned")


@dataclass(frozen=True)
class Lengths:
    """Tokens of a sample's texts, the target's end token included."""

    query: int
    target: int


def build_on_shapes(values: dict[str, Any], dtype: torch.dtype) -> TrainedObjective:
    """Build the objective of a resolved recipe without reading any weight.

    Args:
        values: The resolved recipe.
        dtype: What the trainer makes of its numbers.

    Raises:
        RecipeError: There is nothing to train, or a part refuses its arguments.
        UserError: A model's configuration cannot be had.
    """
    name = values["objective"]["class_path"].rpartition(".")[2]
    if not issubclass(objective_class(values), TrainedObjective):
        raise RecipeError(f"objective {name} is for evaluation: it has nothing to train, and so no plan")
    with torch.device("meta"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is a no-op.*")  # the weights of a run that a decoder is made for
        objective = build_objective(values)
        assert isinstance(objective, TrainedObjective)
        for vocabulary in data_vocabularies(objective):  # only the data know which of the tokens they have
            vocabulary.resize(torch.arange(len(vocabulary.place)))
        for part in parts_beside(objective).values():
            part.to(dtype)
        if dtype is not torch.float32:
            objective.to(dtype)
    with shapes_only():
        strip_values(objective)
        for part in parts_beside(objective).values():
            strip_values(part)
    if objective.layer_settings.checkpoint_activations:
        checkpoint_layers(objective)
    objective.fabric = _STAND_IN  # its own word for a step outside of a trainer
    return objective.train()


def cut_lengths(objective: TrainedObjective, lengths: Lengths) -> tuple[Lengths, tuple[str, ...]]:
    """Cut what is longer than the objective reads, and say so."""
    notes, cut = [], {}
    for name in ("query", "target"):
        most = getattr(objective.collator(), name).max_length
        wanted = getattr(lengths, name)
        cut[name] = min(wanted, most)
        if wanted > most:
            notes.append(f"a {name} of {wanted} tokens is cut to {most}, the most that is read")
    return Lengths(**cut), tuple(notes)


def data_vocabularies(objective: TrainedObjective) -> list[DataVocabulary]:
    """Return the last layers that say the tokens of their data, and here say all."""
    return [module for module in objective.modules() if isinstance(module, DataVocabulary)]


def shape_batch(objective: TrainedObjective, size: int, lengths: Lengths, *, cached: bool) -> Batch:
    """Make a batch of shapes; call it where `shapes_only` holds.

    Args:
        objective: What it is for.
        size: B.
        lengths: Of every sample's texts.
        cached: Whether a frozen encoder's tokens are in it; else its frames are.
    """
    encoder = objective.vision_encoder
    media: dict[str, Tensor] = {}
    if encoder is not None and cached and encoder.frozen:
        media["tokens"] = torch.zeros(size, visual_tokens(objective), encoder.dim)
    elif encoder is not None:
        read = encoder.preprocessing
        media["video"] = torch.zeros(size, read.num_frames, 3, *read.size, dtype=torch.uint8)
    return Batch(
        samples=[NOBODY] * size,
        index=torch.zeros(size, dtype=torch.long),
        group=torch.zeros(size, dtype=torch.long),
        query=_texts(size, lengths.query),
        target=_texts(size, lengths.target),
        longest_text=lengths.query + lengths.target,
        **media,
    )


def visual_tokens(objective: Objective) -> int:
    """N, the number of a sample's visual tokens; 0 where nothing is seen."""
    if objective.vision_encoder is None:
        return 0
    time, height, width = objective.vision_encoder.grid
    return time * height * width


def remember_texts(objective: TrainedObjective, batch: Batch) -> int:
    """Have frozen text encoders remember the batch's targets, and return what reading them took.

    Call it where `shapes_only` holds.
    """
    operations = 0
    for module in objective.modules():
        memo = getattr(module, "memo", None)
        if isinstance(memo, EmbeddingMemo):
            remembered = _Remembered(memo.encode, batch.target)
            setattr(module, "memo", remembered)  # noqa: B010 - not a module's own attribute to the type checker
            operations += remembered.operations
    if isinstance(objective, DecoderObjective):
        encoder: Any = objective.text_space.objective.text_encoder
        if encoder.memo is not None:
            encoder.memo = encoder.memo.encode
        space = _Remembered(encoder, batch.target)
        objective.embed_text = lambda texts: space(batch.target)  # type: ignore[method-assign]
        operations += space.operations
    return operations


class _Remembered:
    """In place of a memory that knows the batch's texts."""

    def __init__(self, encode: Any, text: TextTokens) -> None:
        said: list[Tensor] = []
        with torch.no_grad():
            self.operations = count_flops(lambda: said.append(encode(text)))
        self.width, self.dtype = said[0].shape[-1], said[0].dtype

    def __call__(self, text: TextTokens) -> Tensor:
        return torch.zeros(len(text.ids), self.width, dtype=self.dtype)


def parts_beside(objective: TrainedObjective) -> dict[str, torch.nn.Module]:
    """Return what an objective holds without its being a part: the model whose texts a decoder says."""
    return {"text_space": objective.text_space.objective} if isinstance(objective, DecoderObjective) else {}


def _texts(size: int, length: int) -> TextTokens:
    return TextTokens(torch.zeros(size, length, dtype=torch.long), torch.ones(size, length, dtype=torch.bool))


_STAND_IN = Fabric(accelerator="cpu", devices=1)
