"""Metrics that are means over samples: their rows of results, and what each sample scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jepa_vl.data.base import SampleSet
from jepa_vl.metrics.bootstrap import Statistic, bootstrap_interval, mean_per_class, weighted_mean
from jepa_vl.sample import Sample
from jepa_vl.tasks.base import Result
from jepa_vl.tasks.indexed import IndexedTask, episodes


@dataclass(frozen=True)
class Measure:
    """A metric by what each of n samples scores in it.

    Attributes:
        metric: Its name.
        values: ``[n]``.
        chance: What guessing scores, ``[n]`` or one number for all.
        baselines: What trivial systems score, by name, ``[n]`` each.
        classes: A key for each sample where the metric is the mean over classes of the mean of a class.
        note: What a reader must know.
    """

    metric: str
    values: Tensor
    chance: Tensor | float
    baselines: Mapping[str, Tensor] = field(default_factory=dict)
    classes: Sequence[str] | None = None
    note: str = ""


class MeansTask(IndexedTask):
    """A task whose metrics are means over samples, reported for all of them and for groups of them."""

    def __init__(self) -> None:
        super().__init__()
        self._outcomes: dict[str, dict[str, float]] = {}

    def bind(self, samples: SampleSet, *, labels: list[str], train: list[Sample]) -> None:
        """Say what is evaluated, and forget what was seen."""
        super().bind(samples, labels=labels, train=train)
        self._outcomes = {}

    def report(
        self,
        seen: Sequence[Sample],
        measures: Sequence[Measure],
        groups: Mapping[str, Sequence[int]] | None = None,
    ) -> list[Result]:
        """Return a row for each measure over all of the n samples, then over each group's.

        Args:
            seen: The n samples.
            measures: Their values, in the order of ``seen``.
            groups: Places in ``seen`` by the name of the group.
        """
        self._outcomes = {
            m.metric: dict(zip((s.id for s in seen), m.values.tolist(), strict=True))
            for m in measures
            if m.classes is None
        }
        found = [self.row(seen, m) for m in measures]
        for group, rows in (groups or {}).items():
            found += [self.row(seen, m, group, rows) for m in measures]
        return found

    def row(
        self, seen: Sequence[Sample], measure: Measure, group: str = "all", rows: Sequence[int] | None = None
    ) -> Result:
        """Return the row of a measure over a group of the n samples: those at ``rows``, or all."""
        rows = range(len(seen)) if rows is None else rows
        at = torch.as_tensor(list(rows))
        statistic: Statistic = weighted_mean
        if measure.classes is not None:
            statistic = mean_per_class([measure.classes[i] for i in rows])

        def mean(values: Tensor) -> float:
            numbers = values.double()[at].numpy()
            return float(statistic(numbers, np.ones((1, len(numbers))))[0])

        chance = torch.as_tensor(measure.chance, dtype=torch.float64).expand_as(measure.values)
        low, high = bootstrap_interval(
            measure.values.double()[at].numpy(), groups=episodes([seen[i] for i in rows]), statistic=statistic
        )
        return Result(
            self.name,
            measure.metric,
            mean(measure.values),
            len(at),
            mean(chance),
            low,
            high,
            group,
            {name: mean(values) for name, values in measure.baselines.items()},
            measure.note,
        )

    def outcomes(self) -> dict[str, dict[str, float]]:
        """Return what each sample scored, as of the last `compute`."""
        return self._outcomes


def groups_of(keys: Sequence[Any]) -> dict[str, list[int]]:
    """Return the places of each key but None, sorted by key; none where there is but one key."""
    found = {str(key): [i for i, k in enumerate(keys) if k == key] for key in set(keys) - {None}}
    return dict(sorted(found.items())) if len(set(keys)) > 1 else {}
