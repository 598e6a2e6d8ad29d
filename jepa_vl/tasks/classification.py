"""Open-vocabulary classification: the class whose text is nearest to what the objective says of the video."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from jepa_vl.data.base import SampleSet
from jepa_vl.errors import RecipeError, nearest
from jepa_vl.metrics.bootstrap import Statistic, bootstrap_interval, mean_per_class, weighted_mean
from jepa_vl.metrics.ranks import hits_at, ranks_of_scores
from jepa_vl.objectives.base import EMBED, SCORE, Objective
from jepa_vl.sample import Batch, Sample
from jepa_vl.tasks.anticipation import ANTICIPATION
from jepa_vl.tasks.base import Example, Result
from jepa_vl.tasks.class_names import check_templates, read_class_names
from jepa_vl.tasks.indexed import IndexedTask, episodes


class ClassificationTask(IndexedTask):
    """Chooses among class names, for samples that have a ``label`` (section 4.2).

    Reports top-1, top-5 and the mean over classes, and the accuracy of parts of the label and of single
    classes. The trivial baseline answers the class (or the part) that is the most frequent in training.
    Classes that tie share a place in the middle, so that a model that says the same of every class has
    nothing right. Samples of kind ``anticipation`` are left out: they show what comes before.

    Args:
        labels: What is chosen from: a list of class names, or a text file with one a line; those of the
            data set by default.
        templates: Texts a class name is put into at ``{}``.
        ensemble: How the templates of a class become one score: by the ``mean`` of its unit embeddings, made
            a unit vector again, as CLIP does (of its scores, for an objective that cannot embed), or
            by the ``max`` of its scores.
        attributes: Parts of a label that are reported apart, by name: a regular expression whose first
            group (the whole match where it has none) is the part.
        per_class: Whether every class that occurs has a row of its own.

    Raises:
        RecipeError: A class name or a template occurs twice, a template has no ``{}``, or an expression is
            not valid.
    """

    name: ClassVar[str] = "classification"
    needs: ClassVar[frozenset[str]] = frozenset({EMBED, SCORE})

    def __init__(
        self,
        *,
        labels: list[str] | str | None = None,
        templates: tuple[str, ...] = ("{}",),
        ensemble: Literal["mean", "max"] = "mean",
        attributes: dict[str, str] | None = None,
        per_class: bool = False,
    ) -> None:
        super().__init__()
        check_templates(templates, "classification.templates")
        self.templates = tuple(templates)
        self.ensemble = ensemble
        self.attributes = {} if attributes is None else attributes
        self.per_class = per_class
        self._given = None if labels is None else read_class_names(labels)
        self._patterns = {name: self._pattern(name, text) for name, text in self.attributes.items()}
        self.labels: list[str] = []
        self._train: list[Sample] = []
        self._bank: Tensor | None = None
        self._outcomes: dict[str, dict[str, float]] = {}
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
        """Say what is evaluated; ``labels`` are what is chosen from, unless the recipe gave others.

        Raises:
            RecipeError: A sample's label is not among those that the recipe gave.
        """
        super().bind(samples, labels=labels, train=train)
        self.labels = labels if self._given is None else self._given
        self._train = [s for s in train if _is_labelled(s)]
        self._class = {label: i for i, label in enumerate(self.labels)}
        for sample in filter(_is_labelled, self.samples):
            if sample.label not in self._class:
                near = [f"'{label}'" for label in nearest(str(sample.label), self.labels)]
                raise RecipeError(
                    f"classification.labels: the label '{sample.label}' of the sample '{sample.id}' is not "
                    f"among the {len(self.labels)} class names"
                    + (f"; did you mean {' or '.join(near)}?" if near else "")
                )
        self._texts = [t.replace("{}", label) for label in self.labels for t in self.templates]
        self._bank = None
        self._outcomes = {}

    def update(self, objective: Objective, batch: Batch, embedding: Tensor | None) -> None:
        """Add a batch; samples without a label are passed over."""
        rows = [i for i, s in enumerate(batch.samples) if _is_labelled(s)]
        if not rows:
            return
        if embedding is not None:
            scores = embedding[rows].float() @ self._class_embeddings(objective).T  # [n, K or K·templates]
        else:
            scores = torch.stack(objective.score(batch.select(rows), [self._texts] * len(rows))).float()
        if scores.shape[1] != len(self.labels):
            each = scores.unflatten(1, (len(self.labels), -1))  # [n, K, templates]
            scores = each.mean(dim=2) if self.ensemble == "mean" else each.amax(dim=2)
        right = torch.tensor([self._class[str(batch.samples[i].label)] for i in rows])  # [n]
        self.append(
            batch.index[rows],
            rank=ranks_of_scores(scores.cpu(), one_hot(right, len(self.labels)).bool()),
            predicted=scores.argmax(dim=1),
        )

    def _class_embeddings(self, objective: Objective) -> Tensor:
        """Embeddings of the classes ``[K, E]``, or of every text of theirs ``[K·templates, E]`` for max."""
        if self._bank is None:  # once per evaluation
            self._bank = normalize(objective.embed_text(self._texts).float(), dim=-1)
            if self.ensemble == "mean":
                each = self._bank.unflatten(0, (len(self.labels), -1))  # [K, templates, E]
                self._bank = normalize(each.mean(dim=1), dim=-1)
        return self._bank

    def results(self, positions: list[int], columns: dict[str, Tensor]) -> list[Result]:
        """Top-1 (the headline), top-5 and mean per class, then each attribute, then each class."""
        self._seen = [self.samples[i] for i in positions]
        right = [str(s.label) for s in self._seen]
        predicted = [self.labels[i] for i in columns["predicted"].tolist()]
        self._examples = [Example(s, p, r) for s, p, r in zip(self._seen, predicted, right, strict=True)]
        self._episodes = episodes(self._seen)
        k = len(self.labels)
        top1, top5 = (hits_at(columns["rank"], n) for n in (1, 5))
        majority = self._majority([str(s.label) for s in self._train])
        note = f"{k} classes"
        everyone = range(len(positions))
        self._outcomes = {"top-1": self._by_id(everyone, top1), "top-5": self._by_id(everyone, top5)}
        found = [
            self._row("top-1", top1, 1 / k, baseline=self._always(majority, right), note=note),
            self._row("top-5", top5, min(5, k) / k, note=note),
            self._row("mean per class", top1, 1 / k, statistic=mean_per_class(right), note=note),
        ]
        for name, pattern in self._patterns.items():
            found += self._attribute(name, pattern, right, predicted)
        if self.per_class:
            places: dict[str, list[int]] = defaultdict(list)
            for i, label in enumerate(right):
                places[label].append(i)
            found += [
                self._row("accuracy", top1[rows], 1 / k, group=f"class {label}", rows=rows)
                for label, rows in sorted(places.items())
            ]
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
        self._outcomes[f"{name}/accuracy"] = self._by_id(keep, hits)
        share = Counter(_part(pattern, label) for label in self.labels)
        chance = sum(share[part] for part in expected) / len(expected) / len(self.labels)
        parts = [part for s in self._train if (part := _part(pattern, str(s.label))) is not None]
        always = self._always(self._majority(parts), expected)
        return [self._row("accuracy", hits, chance, group=name, baseline=always, rows=keep)]

    def _by_id(self, rows: Sequence[int], hits: Tensor) -> dict[str, float]:
        return {self._seen[i].id: hit for i, hit in zip(rows, hits.tolist(), strict=True)}

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
        """Return the row of what the samples at ``rows`` (all by default) scored."""
        rows = list(range(len(self._seen))) if rows is None else rows
        values = hits.double().numpy()
        low, high = bootstrap_interval(values, groups=[self._episodes[i] for i in rows], statistic=statistic)
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

    def outcomes(self) -> dict[str, dict[str, float]]:
        """Return the hits of the last `compute`; those of an attribute stand under ``verb/accuracy``."""
        return self._outcomes

    def options(self) -> dict[str, Any]:
        """Return what the scores depend on; the class names only where the recipe gave them."""
        own = {} if self._given is None else {"labels": self._given}
        return {
            "templates": list(self.templates),
            "ensemble": self.ensemble,
            "attributes": self.attributes,
            **own,
        }


def _is_labelled(sample: Sample) -> bool:
    kind = (sample.kind or "").partition("/")[0]
    return sample.label is not None and bool(sample.media) and kind != ANTICIPATION


def _part(pattern: re.Pattern[str], label: str) -> str | None:
    found = pattern.search(label)
    return None if found is None else found.group(1 if pattern.groups else 0)
