"""Anticipation: what will be done after the clip, among every class name of the data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from jepa_vl.data.base import SampleSet
from jepa_vl.metrics.ranks import hits_at, ranks_of_scores
from jepa_vl.objectives.base import EMBED, SCORE, Objective
from jepa_vl.sample import Batch, Sample
from jepa_vl.tasks.base import Example, Result
from jepa_vl.tasks.class_names import check_templates
from jepa_vl.tasks.means import MeansTask, Measure, groups_of

ANTICIPATION = "anticipation"  # the kind, alone or before a slash and what is reported apart


class AnticipationTask(MeansTask):
    """Chooses the next action, for samples with a ``label`` and the kind ``anticipation`` (section 4.4).

    The clip of a sample is what was seen before; a kind such as ``anticipation/1s`` or
    ``anticipation/next step`` is reported apart. EPIC-KITCHENS-100 counts the class-mean recall@5: the mean
    over classes of the share of a class's samples that have it among the five likeliest. COIN's next step
    counts the top-1.

    The baseline ``majority`` answers what is the most frequent in training, in that order.

    Args:
        templates: Texts a class name is put into at ``{}``; the embeddings (or scores) of a class are
            averaged over them.

    Raises:
        RecipeError: There is no template, one has no ``{}``, or one occurs twice.
    """

    name: ClassVar[str] = "anticipation"
    needs: ClassVar[frozenset[str]] = frozenset({EMBED, SCORE})

    def __init__(self, *, templates: tuple[str, ...] = ("{}",)) -> None:
        super().__init__()
        check_templates(templates, "anticipation.templates")
        self.templates = tuple(templates)
        self._add_column("rank", torch.float32)
        self._add_column("predicted", torch.int64)

    def bind(self, samples: SampleSet, *, labels: list[str], train: list[Sample]) -> None:
        """Say what is evaluated; ``labels`` are what is chosen from."""
        super().bind(samples, labels=labels, train=train)
        self.labels = labels
        self._train = [s for s in train if _concerns(s)]
        self._class = {label: i for i, label in enumerate(labels)}
        self._texts = [t.replace("{}", label) for label in labels for t in self.templates]
        self._bank: Tensor | None = None

    def update(self, objective: Objective, batch: Batch, embedding: Tensor | None) -> None:
        """Add a batch; samples of other kinds are passed over."""
        rows = [i for i, s in enumerate(batch.samples) if _concerns(s)]
        if not rows:
            return
        if embedding is not None:
            if self._bank is None:  # once per evaluation
                each = objective.embed_text(self._texts).float().unflatten(0, (len(self.labels), -1))
                self._bank = normalize(each.mean(dim=1), dim=-1)  # [K, E]
            scores = embedding[rows].float() @ self._bank.T  # [n, K]
        else:
            found = torch.stack(objective.score(batch.select(rows), [self._texts] * len(rows)))
            scores = found.float().unflatten(1, (len(self.labels), -1)).mean(-1)  # [n, K]
        right = torch.tensor([self._class[str(batch.samples[i].label)] for i in rows])  # [n]
        self.append(
            batch.index[rows],
            rank=ranks_of_scores(scores.cpu(), one_hot(right, len(self.labels)).bool()),
            predicted=scores.argmax(dim=1),
        )

    def results(self, positions: list[int], columns: dict[str, Tensor]) -> list[Result]:
        """Class-mean recall@5 (the headline), recall@5 and top-1; over all, then by kind."""
        seen = [self.samples[i] for i in positions]
        right = [str(s.label) for s in seen]
        self._examples = [
            Example(s, self.labels[i], r)
            for s, i, r in zip(seen, columns["predicted"].tolist(), right, strict=True)
        ]
        k = len(self.labels)
        majority = self._majority(seen)
        measures = []
        for metric, most, classes in (
            ("class-mean recall@5", 5, right),
            ("recall@5", 5, None),
            ("top-1", 1, None),
        ):
            baselines = {} if majority is None else {"majority": hits_at(majority, most)}
            chance = min(most, k) / k
            hits = hits_at(columns["rank"], most)
            measures.append(Measure(metric, hits, chance, baselines, classes, f"{k} classes"))
        kinds = [str(s.kind).partition("/")[2] or None for s in seen]
        return self.report(seen, measures, groups_of(kinds))

    def _majority(self, seen: Sequence[Sample]) -> Tensor | None:
        """Rank of each sample's label by its frequency in training, among those of its kind: ``[n]``."""
        counts: dict[str | None, Counter[str]] = {}
        for sample in self._train:
            counts.setdefault(sample.kind, Counter())[str(sample.label)] += 1
        if not {s.kind for s in seen} <= counts.keys():
            return None
        place = {kind: self._by_frequency(count) for kind, count in counts.items()}
        return torch.tensor([place[s.kind][str(s.label)] for s in seen])

    def _by_frequency(self, count: Counter[str]) -> dict[str, int]:
        # of equally frequent ones the first in the alphabet, so that the order of samples does not matter
        ordered = sorted(self.labels, key=lambda label: (-count[label], label))
        return {label: i for i, label in enumerate(ordered, start=1)}

    def options(self) -> dict[str, Any]:
        """Return the templates."""
        return {"templates": list(self.templates)}


def _concerns(sample: Sample) -> bool:
    kind = sample.kind or ""
    return sample.label is not None and (kind == ANTICIPATION or kind.startswith(f"{ANTICIPATION}/"))
