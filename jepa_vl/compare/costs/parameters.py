"""Parameters by part, so that a reader can count with or without the target encoder, tables and decoder."""

from __future__ import annotations

from fnmatch import fnmatchcase

from torch import nn

from jepa_vl.objectives.base import Objective

#: Part of the parameters of which names, the first that fits; others are of the part they are named after.
PARTS = (
    ("vision_encoder.*", "vision_encoder"),
    ("visual_projection.*", "visual_projection"),
    ("predictor.visual_projection.*", "visual_projection"),
    ("text_encoder.head.*", "text_head"),
    ("language_model.vocabulary.*", "vocabulary_head"),
    ("language_model.lm.lm_head.*", "vocabulary_head"),
)
#: Parts in which a table of embeddings is that of the tokens they read, and counted apart.
READERS = ("predictor", "language_model")
TOKEN_EMBEDDING = "token_embedding"


def parameters_by_part(objective: Objective) -> dict[str, dict[str, int]]:
    """Count numbers in the parameters of each part of an objective; a shared tensor is counted once.

    ``vision_encoder``; ``visual_projection``; ``predictor`` or ``language_model`` (layers, the query's
    projection, the predictor's head); ``token_embedding`` (the table of word pieces, with which a language
    model of tied weights also says its tokens); ``vocabulary_head`` (one that is not tied); ``text_encoder``
    (the target encoder) and ``text_head``; ``decoder``; ``loss``.

    Returns:
        Part → {"trained": n, "frozen": n}; parts without any parameter are left out.
    """
    found: dict[str, dict[str, int]] = {}
    read = tables(objective)
    for name, parameter in objective.named_parameters():
        part = TOKEN_EMBEDDING if id(parameter) in read else part_of(name)
        counts = found.setdefault(part, {"trained": 0, "frozen": 0})
        counts["trained" if parameter.requires_grad else "frozen"] += parameter.numel()
    return found


def part_of(name: str) -> str:
    """Return the part that a parameter's name says."""
    return next((part for pattern, part in PARTS if fnmatchcase(name, pattern)), name.partition(".")[0])


def tables(objective: Objective) -> set[int]:
    """Return the ids of the tables of embeddings of the tokens that predictor and language model read."""
    return {
        id(module.weight)
        for name, module in objective.named_modules()
        if isinstance(module, nn.Embedding) and name.partition(".")[0] in READERS
    }
