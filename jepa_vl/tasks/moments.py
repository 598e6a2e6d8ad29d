"""Moment retrieval: where in a long video is what a text says?"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from jepa_vl.data.base import SampleSet
from jepa_vl.data.windows import MOMENT
from jepa_vl.errors import ManifestError
from jepa_vl.metrics.ranks import TIE, chance_recall, hits_at, ranks_of_scores
from jepa_vl.metrics.temporal_iou import temporal_iou
from jepa_vl.objectives.base import EMBED, Objective
from jepa_vl.sample import WINDOW, Batch, Sample
from jepa_vl.tasks.base import Example, Result
from jepa_vl.tasks.means import MeansTask, Measure, groups_of

RECALLS = (1, 5)
OVERLAPS = (0.5, 0.7)


class MomentsTask(MeansTask):
    """Compares the text of each sample of the kind ``moment`` with the windows of its own media.

    Windows are samples of the kind ``window``; `jepa_vl.data.windows.with_windows` makes them. A moment is
    found at R@k if one of the k most alike windows overlaps it by an IoU of .5 (or .7); no window is left
    out for its likeness to a better one. ``IoU of the best`` is that of the most alike window, the mean where
    several are level; R@k counts ties as `jepa_vl.metrics.ranks.ranks_of_scores` does.

    The baseline ``oracle`` always takes the window that overlaps the most: what the windows allow.
    """

    name: ClassVar[str] = "moments"
    needs: ClassVar[frozenset[str]] = frozenset({EMBED})

    def __init__(self) -> None:
        super().__init__()
        self._add_column("vector", torch.float32)  # of a window's clip, or of a moment's text

    def bind(self, samples: SampleSet, *, labels: list[str], train: list[Sample]) -> None:
        """Say what is evaluated.

        Raises:
            ManifestError: The media of a moment has no windows, or a moment or window has no end.
        """
        super().bind(samples, labels=labels, train=train)
        self._windows: dict[str, list[int]] = defaultdict(list)
        self._moments = []
        for i, sample in enumerate(self.samples):
            if sample.kind not in (WINDOW, MOMENT):
                continue
            if sample.end is None:
                raise ManifestError(f"sample '{sample.id}': a {sample.kind} needs 'end', in seconds")
            if sample.kind == WINDOW:
                self._windows[sample.media].append(i)
            else:
                self._moments.append(i)
        for i in self._moments:
            if self.samples[i].media not in self._windows:
                raise ManifestError(
                    f"sample '{self.samples[i].id}': '{self.samples[i].media}' has no sample of the kind "
                    f"'{WINDOW}' in the set '{samples.name}' to search in; "
                    "jepa_vl.data.windows.with_windows adds them"
                )

    def update(self, objective: Objective, batch: Batch, embedding: Tensor | None) -> None:
        """Add a batch; samples that are neither moments nor windows are passed over."""
        windows = [i for i, s in enumerate(batch.samples) if s.kind == WINDOW]
        moments = [i for i, s in enumerate(batch.samples) if s.kind == MOMENT]
        if windows and embedding is not None:
            self.append(batch.index[windows], vector=embedding[windows])
        if moments:
            texts = objective.embed_text([batch.samples[i].target for i in moments])
            self.append(batch.index[moments], vector=texts)

    def results(self, positions: list[int], columns: dict[str, Tensor]) -> list[Result]:
        """R@1 at IoU .5 is the headline; over all moments, then by source."""
        vectors = normalize(columns["vector"].double(), dim=-1)  # [n, E]
        row = {position: i for i, position in enumerate(positions)}
        searched = [i for i in self._moments if {i, *self._windows[self.samples[i].media]} <= row.keys()]
        if not searched:
            return []
        seen = [self.samples[i] for i in searched]
        found = []
        for i in searched:
            windows = self._windows[self.samples[i].media]
            scores = vectors[[row[w] for w in windows]] @ vectors[row[i]]  # [G]
            overlap = temporal_iou(_spans([self.samples[i]]), _spans([self.samples[w] for w in windows]))[0]
            found.append(_Search(scores, overlap))
        self._examples = [self._example(s, f) for s, f in zip(seen, found, strict=True)]
        note = f"{sum(len(f.scores) for f in found) / len(found):.1f} windows a moment"
        if len(searched) < len(self._moments):
            note += f"; {len(self._moments) - len(searched)} left out: not all of their windows were seen"
        measures = [
            Measure(
                f"R@{k} IoU {least}",
                _column(f.hit(k, least) for f in found),
                _column(f.chance(k, least) for f in found),
                {"oracle": _column(float(f.near(least).any()) for f in found)},
                note=note,
            )
            for k in RECALLS
            for least in OVERLAPS
        ]
        best = Measure(
            "IoU of the best",
            _column(f.top_overlap() for f in found),
            _column(float(f.overlap.mean()) for f in found),
            {"oracle": _column(float(f.overlap.max()) for f in found)},
            note=note,
        )
        return self.report(seen, [*measures, best], groups_of([s.source for s in seen]))

    def _example(self, sample: Sample, search: _Search) -> Example:
        best = int(search.scores.argmax())
        window = self.samples[self._windows[sample.media][best]]
        return Example(sample, _seconds(window), _seconds(sample), float(search.scores[best]))


@dataclass(frozen=True)
class _Search:
    """The G windows of a moment's media: how alike they are to its text, and how they overlap it, ``[G]``."""

    scores: Tensor
    overlap: Tensor

    def near(self, least: float) -> Tensor:
        return self.overlap >= least - 1e-9  # times are decimal fractions

    def hit(self, k: int, least: float) -> float:
        near = self.near(least)
        if not near.any():
            return 0.0
        return float(hits_at(ranks_of_scores(self.scores[None], near[None]), k))

    def chance(self, k: int, least: float) -> float:
        return chance_recall(k, gallery=len(self.scores), positives=int(self.near(least).sum()))

    def top_overlap(self) -> float:
        return float(self.overlap[self.scores >= self.scores.max() - TIE].mean())


def _spans(samples: list[Sample]) -> Tensor:
    return torch.tensor([(s.start or 0.0, s.end) for s in samples], dtype=torch.float64)  # [n, 2]


def _column(values: Any) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float64)


def _seconds(sample: Sample) -> str:
    return f"{sample.start or 0:.1f}–{sample.end:.1f} s"
