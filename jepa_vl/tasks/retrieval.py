"""Retrieval between videos and captions, in both directions."""

from __future__ import annotations

import hashlib
import logging
from typing import Any, ClassVar

import torch
from torch import Tensor

from jepa_vl.data.base import SampleSet
from jepa_vl.errors import RecipeError
from jepa_vl.metrics.bootstrap import bootstrap_interval, weighted_median
from jepa_vl.metrics.ranks import (
    chance_median_rank,
    chance_recall,
    hits_at,
    median_rank,
    positive_mask,
    ranks,
    ranks_of_scores,
    recall_at,
)
from jepa_vl.objectives.base import EMBED, SCORE, Objective
from jepa_vl.sample import Batch, Sample
from jepa_vl.tasks.base import Example, Result
from jepa_vl.tasks.gallery import Gallery, clip_of, is_captioned, meanings_of
from jepa_vl.tasks.indexed import IndexedTask, episodes

log = logging.getLogger(__name__)

EXAMPLES = 64  # clips whose best caption is looked up, spread evenly over the gallery


class RetrievalTask(IndexedTask):
    """Ranks clips for a caption and captions for a clip, over the samples without a query (section 4.2).

    The gallery is the distinct clips of the sample set, or its distinct captions; a clip may have several
    captions, each of which is a query of its own, and of which the best ranked counts for the clip. A hit
    is any entry that shares a caption or a group with the query, so a caption that fits several clips
    counts for each. Ties count as their mean over random orders, see `jepa_vl.metrics.ranks`. Clips and
    texts of other tasks (kinds ``window``, ``choice`` and ``moment``, hard negatives) are left out. A
    sample set without captions has no rows, and a warning says so.

    An objective that cannot embed must score every pair, so it is measured on a smaller gallery of clips
    with distinct captions, chosen by the hash of the sample's id; every other objective is measured on
    that one as well, under the same group name.

    Args:
        score_gallery: Number of clips (and captions) of the smaller gallery.

    Raises:
        RecipeError: The gallery has fewer than two entries.
    """

    name: ClassVar[str] = "retrieval"
    needs: ClassVar[frozenset[str]] = frozenset({EMBED, SCORE})

    def __init__(self, *, score_gallery: int = 64) -> None:
        super().__init__()
        if score_gallery < 2:
            raise RecipeError(f"retrieval.score_gallery is {score_gallery}; expected 2 or more")
        self.score_gallery = score_gallery
        self._bank: Tensor | None = None
        self._by_score = False
        self._outcomes: dict[str, dict[str, float]] = {}
        self._add_column("vector", torch.float32)

    def bind(self, samples: SampleSet, *, labels: list[str], train: list[Sample]) -> None:
        """Say what is evaluated, and choose the smaller gallery."""
        super().bind(samples, labels=labels, train=train)
        shown = [i for i, s in enumerate(self.samples) if is_captioned(s)]
        if not shown:
            log.warning(
                "retrieval: the gallery of '%s' is empty and is skipped: none of its %d samples is a clip "
                "with a caption and without a query",
                samples.name,
                len(self.samples),
            )
        texts = dict.fromkeys(self.samples[i].target for i in shown)
        self._captions = {text: i for i, text in enumerate(texts)}
        self._meanings = meanings_of(self.samples[i] for i in shown)
        self._small = self._choose(shown)
        self._small_set = set(self._small)
        self._small_texts = [self.samples[i].target for i in self._small]
        self._bank = None
        self._outcomes = {}

    def _choose(self, shown: list[int]) -> list[int]:
        """Positions of clips with distinct captions, the same for the same samples in any order."""
        clips: set[tuple[Any, ...]] = set()
        said: set[int] = set()
        chosen = []
        for i in sorted(shown, key=lambda i: hashlib.blake2b(self.samples[i].id.encode()).digest()):
            clip, meaning = clip_of(self.samples[i]), self._meanings[self.samples[i].target]
            if clip not in clips and meaning not in said:
                clips.add(clip)
                said.add(meaning)
                chosen.append(i)
        return chosen[: self.score_gallery]

    def update(self, objective: Objective, batch: Batch, embedding: Tensor | None) -> None:
        """Add a batch; samples that are no captioned clips are passed over."""
        rows = [i for i, s in enumerate(batch.samples) if is_captioned(s)]
        self._by_score = embedding is None
        if embedding is not None:
            if self._bank is None and self._captions:  # once per evaluation
                self._bank = objective.embed_text(list(self._captions)).float().cpu()  # [C, E]
            if rows:
                self.append(batch.index[rows], vector=embedding[rows])
            return
        rows = [i for i in rows if int(batch.index[i]) in self._small_set]
        if rows:
            scores = objective.score(batch.select(rows), [self._small_texts] * len(rows))
            self.append(batch.index[rows], vector=torch.stack(scores))

    def results(self, positions: list[int], columns: dict[str, Tensor]) -> list[Result]:
        """Text-to-video R@1 is the headline; the smaller gallery comes after the whole one."""
        vectors = columns["vector"]  # embeddings [n, E], or scores of the smaller gallery's captions [n, K]
        row = {position: i for i, position in enumerate(positions)}
        small = self._gallery([i for i in self._small if i in row])
        small_name = f"gallery {len(self._small)}"
        if self._by_score and small.clips:
            column = {text: i for i, text in enumerate(self._small_texts)}
            vectors = vectors.reshape(len(positions), -1)  # one caption's scores come as [n]
            scores = vectors[[row[i] for i in small.clips]][:, [column[t] for t in small.texts]]  # [V, C]
            right = positive_mask(small.right_texts, len(small.texts))  # [V, C]
            self._show(small, list(range(len(small.clips))), scores)
            return self._both_ways(
                small, ranks_of_scores(scores.T, right.T), ranks_of_scores(scores, right), small_name
            )
        if self._bank is None:  # a rank without any batch leaves the arithmetic to the others
            return []
        found = []
        for gallery, group in ((self._gallery(positions), "all"), (small, small_name)):
            if not gallery.clips:
                continue
            video = vectors[[row[i] for i in gallery.clips]]  # [V, E]
            text = self._bank[[self._captions[t] for t in gallery.texts]]  # [C, E]
            to_video = ranks(text, video, gallery.right_clips)
            to_text = ranks(video, text, gallery.right_texts)
            found += self._both_ways(gallery, to_video, to_text, group)
            if group == "all":
                shown = list(range(0, len(gallery.clips), -(-len(gallery.clips) // EXAMPLES)))
                self._show(gallery, shown, video[shown] @ text.T)
        return found

    def _gallery(self, positions: list[int]) -> Gallery:
        return Gallery.of(self.samples, positions, self._meanings)

    def _show(self, gallery: Gallery, shown: list[int], scores: Tensor) -> None:
        """Keep the best caption of the clips at the places ``shown``, given their scores ``[shown, C]``."""
        self._examples = []
        best = scores.max(dim=1)
        for i, j, score in zip(shown, best.indices.tolist(), best.values.tolist(), strict=True):
            sample, said = self.samples[gallery.clips[i]], gallery.texts[j]
            # of several captions that fit, the one that was found
            expected = said if j in gallery.right_texts[i] else sample.target
            self._examples.append(Example(sample, said, expected, score))

    def _both_ways(self, gallery: Gallery, to_video: Tensor, to_text: Tensor, group: str) -> list[Result]:
        videos = [len(places) for places in gallery.right_clips]
        texts = [len(places) for places in gallery.right_texts]
        return [
            *self._rows("text-to-video", to_video, videos, gallery.texts_from, len(gallery.clips), group),
            *self._rows("video-to-text", to_text, texts, gallery.clips, len(gallery.texts), group),
        ]

    def _rows(
        self, way: str, ranks: Tensor, positives: list[int], queries: list[int], size: int, group: str
    ) -> list[Result]:
        """Results of the ranks ``[Q]`` of queries, the positions of whose samples are given."""
        asked = [self.samples[i] for i in queries]
        units = episodes(asked)
        n = len(ranks)
        note = f"{n} queries, gallery of {size}"
        results = []
        for k in (1, 5, 10):
            hits = hits_at(ranks, k)
            low, high = bootstrap_interval(hits.numpy(), groups=units)
            chance = chance_recall(k, gallery=size, positives=positives)
            metric = f"{way} R@{k}"
            results.append(
                Result(self.name, metric, recall_at(ranks, k), n, chance, low, high, group, note=note)
            )
            key = metric if group == "all" else f"{group}/{metric}"
            self._outcomes[key] = {s.id: hit for s, hit in zip(asked, hits.tolist(), strict=True)}
        low, high = bootstrap_interval(ranks.numpy(), groups=units, statistic=weighted_median)
        chance = chance_median_rank(gallery=size, positives=positives)
        middle = Result(self.name, f"{way} median rank", median_rank(ranks), n, chance, low, high, group)
        middle.note, middle.higher_is_better, middle.unit = f"of {size}", False, "rank"
        return [*results, middle]

    def outcomes(self) -> dict[str, dict[str, float]]:
        """Return the hits of the last `compute`; a caption or a clip goes by the id of its first sample.

        Those of the smaller gallery stand under ``gallery N/text-to-video R@1`` and so on.
        """
        return self._outcomes

    def options(self) -> dict[str, Any]:
        """Return the size of the smaller gallery."""
        return {"score_gallery": self.score_gallery}
