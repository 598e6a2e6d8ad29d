"""`System`: a pretrained model as it is, evaluated beside ours and never trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from jepa_vl.objectives.base import Collator, Objective
from jepa_vl.objectives.collate import Collate
from jepa_vl.sample import TextTokens


class System(Objective):
    """An objective for evaluation: it has abilities and no training step, and needs no checkpoint.

    Texts are tokenised where they are used, by the system's own tokenizer; its batches carry none.

    Attributes:
        trained: False: the command line asks for no checkpoint, and refuses ``fit``.
    """

    trained = False

    def collator(self) -> Collator:
        """Stack the media, and leave the texts as they are."""
        return Collate(query=no_tokens, target=no_tokens)


def no_tokens(texts: Sequence[str]) -> TextTokens:
    """Return B texts as ``[B, 0]`` ids: nothing is tokenised."""
    return TextTokens(
        torch.zeros(len(texts), 0, dtype=torch.long), torch.zeros(len(texts), 0, dtype=torch.bool)
    )


def cosine_scores(
    video: Tensor, candidates: Sequence[Sequence[str]], embed: Callable[[Sequence[str]], Tensor]
) -> list[Tensor]:
    """Cosine of each video's unit vector and those of its candidates; equal texts are embedded once.

    Args:
        video: ``[B, E]``.
        candidates: B lists of texts.
        embed: Texts → unit vectors ``[K, E]``.

    Returns:
        B tensors, the i-th of shape ``[len(candidates[i])]``.
    """
    place = {text: i for i, text in enumerate(dict.fromkeys(t for texts in candidates for t in texts))}
    similarity = video @ embed(list(place)).T  # [B, distinct]
    return [row[[place[t] for t in texts]] for row, texts in zip(similarity, candidates, strict=True)]
