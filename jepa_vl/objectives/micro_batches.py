"""GradCache (arXiv 2101.06983): a large batch's gradient with the activations of a small one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from jepa_vl.sample import Batch

Embed = Callable[[Batch], tuple[Tensor, Tensor]]


def micro_batches(batch: Batch, size: int) -> Iterator[Batch]:
    """Yield consecutive parts of a batch, of at most ``size`` samples; their tensors are views of its own."""
    for start in range(0, len(batch), size):
        yield batch.select(range(start, min(start + size, len(batch))))


def embed_in_parts(embed: Embed, parts: Iterable[Batch]) -> tuple[Tensor, Tensor]:
    """Embed parts of a batch without keeping their activations.

    The backward pass embeds each part once more, with the random numbers of the first time, and goes through
    it from the gradient of its embeddings, one part after the other. As all of this is in the one call of
    ``backward``, gradient scaling, clipping and accumulation, DDP and FSDP need not know of it.

    Args:
        embed: Part of b samples → predicted and target embeddings, each ``[b, E]``.
        parts: Of at least one sample.

    Returns:
        Predicted and target embeddings of all parts, each ``[B, E]``.
    """
    # a tensor among the arguments tells of which device the random numbers are kept
    embedded = [
        checkpoint(lambda part, _: embed(part), part, part.group, use_reentrant=False) for part in parts
    ]
    predicted, target = (torch.cat(side) for side in zip(*embedded, strict=True))
    return predicted, target
