"""What CIDEr, BLEU and ROUGE-L share: captions kept as tensors under integer keys, each counted once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from jepa_vl.metrics.caption_tokens import Caption, as_tokens
from jepa_vl.metrics.text_state import pack, unpack

Tokens = Sequence[str]


class CaptionMetric(Metric):
    """Compares predicted captions with references.

    Any batching, any order, any number of ranks and repeated samples (one key twice) give the same value.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    key: list[Tensor]
    length: list[Tensor]
    content: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("key", "length", "content"):
            self.add_state(name, default=[], dist_reduce_fx="cat")
        self.reset()

    def reset(self) -> None:
        """Forget every caption."""
        super().reset()
        # a rank that saw nothing still gathers tensors of the right types
        self.key = [torch.empty(0, dtype=torch.int64, device=self.device)]
        self.length = [torch.empty(0, dtype=torch.int64, device=self.device)]
        self.content = [torch.empty(0, dtype=torch.uint8, device=self.device)]

    def update(
        self,
        keys: Sequence[int] | Tensor,
        predictions: Sequence[Caption],
        references: Sequence[Sequence[Caption]],
    ) -> None:
        """Add n captions.

        Args:
            keys: n integers, one for each video or image, the same on every rank.
            predictions: What was said of each; a text is tokenised, a list is taken as tokens.
            references: What people said of each, one caption or more.

        Raises:
            ValueError: The numbers differ, or a prediction has no reference.
        """
        index = torch.as_tensor(keys, dtype=torch.int64).reshape(-1)
        if not len(index) == len(predictions) == len(references):
            raise ValueError(
                f"{len(index)} keys for {len(predictions)} predictions and {len(references)} references"
            )
        records = []
        for key, said, expected in zip(index.tolist(), predictions, references, strict=True):
            if not expected or isinstance(expected, str):
                raise ValueError(
                    f"key {key}: references must be a list of one caption or more, got {expected!r}"
                )
            records.append("\n".join(" ".join(as_tokens(caption)) for caption in (said, *expected)))
        lengths, content = pack(records)
        self.key.append(index.to(self.device, copy=True))
        self.length.append(lengths.to(self.device))
        self.content.append(content.to(self.device))

    def _captions(self) -> tuple[list[int], list[list[str]], list[list[list[str]]]]:
        """Keys in order, the tokens of their predictions, and of their references."""
        records: dict[int, str] = {}
        texts = unpack(dim_zero_cat(self.length), dim_zero_cat(self.content))
        for key, text in zip(dim_zero_cat(self.key).tolist(), texts, strict=True):
            records.setdefault(key, text)
        keys = sorted(records)
        split = [[caption.split() for caption in records[key].split("\n")] for key in keys]
        return keys, [each[0] for each in split], [each[1:] for each in split]

    def per_sample(self) -> tuple[list[int], Tensor]:
        """Return the n keys over all ranks, in order, and what each scored, float64 ``[n]`` or ``[n, 4]``."""
        with self.sync_context():
            keys, predictions, references = self._captions()
        return keys, self._scores(predictions, references)

    @abstractmethod
    def _scores(self, predictions: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> Tensor:
        """Score each of n captions: float64 ``[n]`` or ``[n, 4]``."""

    def compute(self) -> Tensor:
        """Return the mean over captions, float64 on the CPU; NaN when there are none."""
        _, predictions, references = self._captions()
        return self._scores(predictions, references).mean(dim=0)
