"""Items → `Batch`, in the data workers: media are stacked, texts tokenised as the objective needs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from jepa_vl.objectives.base import Tokenise
from jepa_vl.sample import Batch, Item


@dataclass(frozen=True)
class Collate:
    """A picklable collator.

    Attributes:
        query: Tokenises queries.
        target: Tokenises target texts.
    """

    query: Tokenise
    target: Tokenise

    def __call__(self, items: Sequence[Item]) -> Batch:
        """Stack B items; all of them have cached tokens, or all have frames, or none has media."""
        samples = [item.sample for item in items]
        tokens = [item.tokens for item in items if item.tokens is not None]
        video = [item.video for item in items if item.video is not None]
        query = self.query([sample.query for sample in samples])
        target = self.target([sample.target for sample in samples])
        return Batch(
            samples=samples,
            index=torch.tensor([item.index for item in items]),
            group=torch.tensor([sample.group_id for sample in samples]),
            query=query,
            target=target,
            video=torch.stack(video) if video else None,  # uint8 [B, T, C, H, W]
            tokens=torch.stack(tokens) if tokens else None,  # [B, N, D]
            # here, where the texts are still on the CPU
            longest_text=int((query.mask.sum(dim=1) + target.mask.sum(dim=1)).max()),
        )
