"""Which of the columns gathered from all ranks are a row's own, its group's, and others'."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jepa_vl.distributed import gather_ids, world


@dataclass(frozen=True)
class Pairs:
    """Local rows and gathered columns of one batch, by group; what is of one group has one label.

    Attributes:
        own: The local rows' own columns.
        row: int64 ``[B]``, each local row's label, from 0 up to, not including, W·B.
        column: int64 ``[W·B]``, each column's label.
        multiplicity: int64 ``[W·B]``, the number of columns in each column's group.
    """

    own: slice
    row: Tensor
    column: Tensor
    multiplicity: Tensor

    @classmethod
    def of(cls, group: Tensor) -> Pairs:
        """Pair the local rows with every rank's, from the local group ids ``[B]``."""
        ids = gather_ids(group)  # [W·B]
        ordered = ids.sort().values
        label = torch.searchsorted(ordered, ids)  # where the group's first member stands in the order
        own = slice(world().rank * len(group), (world().rank + 1) * len(group))
        return cls(
            own=own,
            row=label[own],
            column=label,
            multiplicity=torch.searchsorted(ordered, ids, right=True) - label,
        )
