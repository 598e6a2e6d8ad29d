"""Which columns of a [B, W·B] similarity matrix are a row's own, its group's, and others'."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jepa_vl.distributed import gather_ids, world


@dataclass(frozen=True)
class Pairs:
    """Local rows × gathered columns of one batch.

    Attributes:
        own: int64 ``[B]``, each local row's own column.
        same: bool ``[B, W·B]``, true where row and column are of one group (own column included).
        multiplicity: int64 ``[W·B]``, the number of columns in each column's group.
    """

    own: Tensor
    same: Tensor
    multiplicity: Tensor

    @classmethod
    def of(cls, group: Tensor) -> Pairs:
        """Pair the local rows with every rank's, from the local group ids ``[B]``."""
        columns = gather_ids(group)  # [W·B]
        ordered = columns.sort().values
        multiplicity = torch.searchsorted(ordered, columns, right=True) - torch.searchsorted(ordered, columns)
        return cls(
            own=torch.arange(len(group), device=group.device) + world().rank * len(group),
            same=group[:, None] == columns,
            multiplicity=multiplicity,
        )

    @property
    def rivals(self) -> Tensor:
        """Bool ``[B, W·B]``: what a row's softmax runs over, its own column and those of other groups."""
        return (~self.same).scatter(1, self.own[:, None], True)

    @torch.no_grad()
    def recall(self, similarity: Tensor) -> Tensor:
        """Share of rows whose most similar column ``[B, W·B]`` is of their own group."""
        best = similarity.argmax(dim=1, keepdim=True)  # [B, 1]
        return self.same.gather(1, best).to(similarity.dtype).mean()
