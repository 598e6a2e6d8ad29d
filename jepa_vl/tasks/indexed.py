"""Task state that is one row per sample: equal for any batching, any number of ranks and repeated samples."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from jepa_vl.data.base import SampleSet
from jepa_vl.sample import Sample
from jepa_vl.tasks.base import Example, Result, Task


class IndexedTask(Task):
    """Keeps columns of numbers keyed by the sample's position in its set; `rows` returns each sample once.

    A column is kept flat, so that a rank that saw no sample still gathers an empty tensor of the right
    shape and type from the others.
    """

    row_index: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self._columns: dict[str, torch.dtype] = {}
        self._add_column("row_index", torch.int64)
        self.samples: list[Sample] = []
        self._examples: list[Example] = []

    def _add_column(self, name: str, dtype: torch.dtype) -> None:
        self._columns[name] = dtype
        self.add_state(name, default=[], dist_reduce_fx="cat")
        getattr(self, name).append(torch.empty(0, dtype=dtype, device=self.device))

    def bind(self, samples: SampleSet, *, labels: list[str], train: list[Sample]) -> None:
        """Say what is evaluated, and forget what was seen."""
        self.reset()
        self.samples = samples.samples
        self._examples = []

    def reset(self) -> None:
        """Forget every row."""
        super().reset()
        for name, dtype in self._columns.items():
            setattr(self, name, [torch.empty(0, dtype=dtype, device=self.device)])

    def append(self, index: Tensor, **columns: Tensor) -> None:
        """Add a row for each of the n samples of ``index``; a column is ``[n]`` or ``[n, width]``."""
        for name, values in {"row_index": index, **columns}.items():
            flat = values.detach().to(self.device, self._columns[name]).reshape(-1)
            getattr(self, name).append(flat.clone())  # clone: not a view of an inference tensor

    def rows(self) -> tuple[list[int], dict[str, Tensor]]:
        """Return the positions of the n samples seen, in order, and each column ``[n]`` or ``[n, width]``."""
        index = dim_zero_cat(self.row_index).cpu()
        order = torch.argsort(index, stable=True)
        first = torch.ones(len(index), dtype=torch.bool)
        first[1:] = index[order][1:] != index[order][:-1]
        keep = order[first]
        columns: dict[str, Tensor] = {}
        for name in self._columns:
            if name == "row_index":
                continue
            values = dim_zero_cat(getattr(self, name)).cpu()
            if len(index) and len(values) != len(index):
                values = values.reshape(len(index), -1)
            columns[name] = values[keep]
        return index[keep].tolist(), columns

    def compute(self) -> list[Result]:
        """Return the results over all ranks; none when no sample concerned the task."""
        positions, columns = self.rows()
        return self.results(positions, columns) if positions else []

    @abstractmethod
    def results(self, positions: list[int], columns: dict[str, Tensor]) -> list[Result]:
        """Turn the rows of n ≥ 1 distinct samples into results, the headline first."""

    def examples(self, most: int = 8) -> list[Example]:
        """Return predictions evenly spread over the samples, as of the last `compute`."""
        step = max(1, len(self._examples) // most)
        return self._examples[::step][:most]


def episodes(samples: Sequence[Sample]) -> list[str]:
    """Return the unit that each sample is resampled with: its episode, else the sample itself."""
    return [s.id if s.episode is None else f"episode {s.episode}" for s in samples]
