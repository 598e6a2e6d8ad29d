"""Open-vocabulary classification: the class whose text is nearest to what the objective says of the video."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from jepa_vl.data.base import SampleSet
from jepa_vl.errors import RecipeError
from jepa_vl.metrics.bootstrap import Statistic, bootstrap_interval, mean_per_class, weighted_mean
from jepa_vl.metrics.ranks import hits_at, ranks_of_scores
from jepa_vl.objectives.base import EMBED, SCORE, Objective
from jepa_vl.sample import Batch, Sample
from jepa_vl.tasks.base import Example, Result
from jepa_vl.tasks.indexed import IndexedTask, episodes


class ClassificationTask(IndexedTask):
    """Chooses among every class name of the data set, for samples that have a ``label`` (section 4.2).

    Reports top-1, top-5 and the mean over classes, and the accuracy of parts of the label. The trivial
    baseline answers the class (or the part) that is the most frequent in training.

    Args:
        templates: Texts a class name is put into at ``{}``; the embeddings (or scores) of a class are
            averaged over them.
        attributes: Parts of a label that are reported apart, by name: a regular expression whose first
            group (the whole match where it has none) is the part.

    Raises:
        RecipeError: A template has no ``{}``, or an expression is not valid.
    """

    name: ClassVar[str] = "classification"
    needs: ClassVar[frozenset[str]] = frozenset({EMBED, SCORE})

    def __init__(
        self, *, templates: tuple[str, ...] = ("{}",), attributes: dict[str, str] | None = None
    ) -> None:
        super().__init__()
        self.templates = tuple(templates)
        self.attributes = {} if attributes is None else attributes
        for template in self.templates:
            if "{}" not in template:
                raise RecipeError(f"classification.templates: '{template}' has no {{}} for the class name")
        if not self.templates:
            raise RecipeError("classification.templates is empty; expected at least one, such as '{}'")
        self._patterns = {name: self._pattern(name, text) for name, text in self.attributes.items()}
        self.labels: list[str] = []
        self._train: list[Sample] = []
        self._bank: Tensor | None = None
        self._add_column("rank", torch.float32)
        self._add_column("predicted", torch.int64)

    @staticmethod
    def _pattern(name: str, text: str) -> re.Pattern[str]:
        try:
            return re.compile(text)
        except re.error as error:
            raise RecipeError(
                f"classification.attributes.{name}: '{text}' is not a regular expression ({error})"
            ) from None

    def bind(self, samples: SampleSet, *, labels: list[str], train: list[Sample]) -> None:
        """Say what is evaluated; ``labels`` are what is chosen from."""
        super().bind(samples, labels=labels, train=train)
        self.labels = labels
        self._train = [s for s in train if s.label is not None]
        self._class = {label: i for i, label in enumerate(labels)}
        self._texts = [t.replace("{}", label) for label in labels for t in self.templates]
        self._bank = None

    def update(self, objective: Objective, batch: Batch, embedding: Tensor | None) -> None:
        """Add a batch; samples without a label are passed over."""
        rows = [i for i, s in enumerate(batch.samples) if s.label is not None]
        if not rows:
            return
        if embedding is not None:
            scores = embedding[rows].float() @ self._class_embeddings(objective).T  # [n, K]
        else:
            each = objective.score(batch.select(rows), [self._texts] * len(rows))
            scores = torch.stack(each).float().unflatten(1, (len(self.labels), -1)).mean(-1)  # [n, K]
        right = torch.tensor([self._class[str(batch.samples[i].label)] for i in rows])  # [n]
        positive = torch.nn.functional.one_hot(right, len(self.labels)).bool()
        self.append(
            batch.index[rows],
            rank=ranks_of_scores(scores.cpu(), positive),
            predicted=scores.argmax(dim=1),
        )

    def _class_embeddings(self, objective: Objective) -> Tensor:
        if self._bank is None:  # once per evaluation
            each = objective.embed_text(self._texts).float().unflatten(0, (len(self.labels), -1))
            self._bank = normalize(each.mean(dim=1), dim=-1)  # [K, E]
        return self._bank

    def results(self, positions: list[int], columns: dict[str, Tensor]) -> list[Result]:
        """Top-1 (the headline), top-5 and mean per class, then each attribute."""
        seen = [self.samples[i] for i in positions]
        right = [str(s.label) for s in seen]
        predicted = [self.labels[i] for i in columns["predicted"].tolist()]
        self._examples = [Example(s, p, r) for s, p, r in zip(seen, predicted, right, strict=True)]
        self._episodes = episodes(seen)
        k = len(self.labels)
        top1, top5 = (hits_at(columns["rank"], n) for n in (1, 5))
        majority = self._majority([str(s.label) for s in self._train])
        note = f"{k} classes"
        found = [
            self._row("top-1", top1, 1 / k, baseline=self._always(majority, right), note=note),
            self._row("top-5", top5, min(5, k) / k, note=note),
            self._row("mean per class", top1, 1 / k, statistic=mean_per_class(right), note=note),
        ]
        for name, pattern in self._patterns.items():
            found += self._attribute(name, pattern, right, predicted)
        return found

    def _attribute(
        self, name: str, pattern: re.Pattern[str], right: list[str], predicted: list[str]
    ) -> list[Result]:
        truth = [_part(pattern, label) for label in right]
        keep = [i for i, part in enumerate(truth) if part is not None]
        if not keep:
            return []
        expected = [str(truth[i]) for i in keep]
        hits = torch.tensor([float(_part(pattern, predicted[i]) == truth[i]) for i in keep])
        share = Counter(_part(pattern, label) for label in self.labels)
        chance = sum(share[part] for part in expected) / len(expected) / len(self.labels)
        parts = [part for s in self._train if (part := _part(pattern, str(s.label))) is not None]
        always = self._always(self._majority(parts), expected)
        return [self._row("accuracy", hits, chance, group=name, baseline=always, rows=keep)]

    def _row(
        self,
        metric: str,
        hits: Tensor,
        chance: float,
        *,
        group: str = "all",
        baseline: float | None = None,
        statistic: Statistic = weighted_mean,
        rows: list[int] | None = None,
        note: str = "",
    ) -> Result:
        values = hits.double().numpy()
        units = self._episodes if rows is None else [self._episodes[i] for i in rows]
        low, high = bootstrap_interval(values, groups=units, statistic=statistic)
        value = statistic(values, torch.ones(1, len(values), dtype=torch.float64).numpy())
        baselines = {} if baseline is None else {"majority": baseline}
        return Result(
            self.name, metric, float(value[0]), len(values), chance, low, high, group, baselines, note
        )

    @staticmethod
    def _majority(answers: list[str]) -> str | None:
        # of equally frequent ones the first in the alphabet, so that the order of samples does not matter
        count = Counter(answers)
        return min(count, key=lambda a: (-count[a], a)) if count else None

    @staticmethod
    def _always(answer: str | None, right: list[str]) -> float | None:
        return None if answer is None else sum(r == answer for r in right) / len(right)

    def options(self) -> dict[str, Any]:
        """Return the templates and the attributes."""
        return {"templates": list(self.templates), "attributes": self.attributes}


def _part(pattern: re.Pattern[str], label: str) -> str | None:
    found = pattern.search(label)
    return None if found is None else found.group(1 if pattern.groups else 0)
