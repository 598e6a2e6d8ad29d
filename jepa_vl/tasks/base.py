"""The contract of a task: a torchmetrics Metric that asks an objective and returns rows of results."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from torch import Tensor
from torchmetrics import Metric

from jepa_vl.data.base import SampleSet
from jepa_vl.objectives.base import Objective
from jepa_vl.sample import Batch, Sample

#: What a stored value is: a fraction, printed in percent; one that is printed × 100 without a sign, as papers
#: do with CIDEr, BLEU and ROUGE; a number printed as it is; a rank.
Unit = Literal["percent", "points", "number", "rank"]


@dataclass  # not frozen: torchmetrics copies what `compute` returns field by field
class Result:
    """One number, with what is needed to judge it.

    Attributes:
        task: Name of the task, such as ``retrieval``.
        metric: Name of the metric, such as ``text-to-video R@1``.
        value: The measured value, never multiplied by 100; ``unit`` says what it is and how it is printed.
        n: Number of samples (or queries) it is the mean of.
        chance: What guessing gives; None where it has no meaning.
        low: Lower end of the bootstrap 95 % interval.
        high: Upper end.
        group: The part of the samples it is about (a kind of question), ``all`` otherwise.
        baselines: Values of trivial systems on the same samples, by name.
        note: What a reader must know (the size of the gallery, say).
        higher_is_better: False for a rank.
        unit: Of the value, its interval, chance and baselines; ``rank`` where less is better.
    """

    task: str
    metric: str
    value: float
    n: int
    chance: float | None = None
    low: float | None = None
    high: float | None = None
    group: str = "all"
    baselines: dict[str, float] = field(default_factory=dict)
    note: str = ""
    higher_is_better: bool = True
    unit: Unit = "percent"

    def __post_init__(self) -> None:
        if not self.higher_is_better and self.unit == "percent":
            self.unit = "rank"  # files of earlier versions name no unit


@dataclass(frozen=True)
class Example:
    """One prediction worth looking at."""

    sample: Sample
    predicted: str
    expected: str
    score: float | None = None


class Task(Metric):
    """Accumulates an objective's answers over batches and ranks, and turns them into `Result`s.

    States are tensors keyed by the sample's index, so that any batching, any number of ranks, and the
    repeated samples of a padded distributed sampler give the same numbers. One instance evaluates one
    sample set; `bind` says which.
    """

    full_state_update = False
    name: ClassVar[str]
    needs: ClassVar[frozenset[str]]  # of the objective's abilities; one of them is enough

    @abstractmethod
    def bind(self, samples: SampleSet, *, labels: list[str], train: list[Sample]) -> None:
        """Say what is evaluated: ``labels`` is every class name, ``train`` serves trivial baselines."""

    @abstractmethod
    def update(self, objective: Objective, batch: Batch, embedding: Tensor | None) -> None:
        """Add a batch.

        Args:
            objective: Asked in eval mode, without gradient.
            batch: B samples; those the task does not concern are passed over.
            embedding: `Objective.embed_video` of the batch ``[B, E]``, computed once for all tasks; None
                when the objective cannot embed, and for a batch of texts.
        """

    @abstractmethod
    def compute(self) -> list[Result]:
        """Return the results over all ranks. The first is the task's headline."""

    def examples(self, most: int = 8) -> list[Example]:
        """Return a few predictions of this rank, for people to look at."""
        return []

    def outcomes(self) -> dict[str, dict[str, float]]:
        """Return what each sample scored: metric → sample id → value, over all ranks.

        For every metric of `compute` that is a mean over samples, ``group/metric`` where the row is of a
        group; two systems are compared by the differences on the samples that both have seen.
        """
        return {}

    def options(self) -> dict[str, Any]:
        """Return the settings that the results depend on, for ``results.json``."""
        return {}
