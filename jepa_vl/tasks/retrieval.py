"""Retrieval between videos and captions, in both directions."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
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
    ranks_of_scores,
    recall_at,
)
from jepa_vl.objectives.base import EMBED, SCORE, Objective
from jepa_vl.sample import Batch, Sample
from jepa_vl.tasks.base import Example, Result
from jepa_vl.tasks.indexed import IndexedTask, episodes

#: A slice of the queries → their scores ``[q, G]`` over the whole gallery.
Scores = Callable[[slice], Tensor]

CHUNK = 1024  # queries compared at a time


class RetrievalTask(IndexedTask):
    """Ranks clips for a caption and captions for a clip, over the samples without a query (section 4.2).

    The gallery is the distinct clips of the sample set, or its distinct captions. A hit is any entry that
    shares a caption or a group with the query, so a caption that fits several clips counts for each.

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
        self._add_column("vector", torch.float32)

    def bind(self, samples: SampleSet, *, labels: list[str], train: list[Sample]) -> None:
        """Say what is evaluated, and choose the smaller gallery."""
        super().bind(samples, labels=labels, train=train)
        shown = [i for i, s in enumerate(self.samples) if not s.query]
        self._captions = {
            text: i for i, text in enumerate(dict.fromkeys(self.samples[i].target for i in shown))
        }
        self._relevance = _relevance([self.samples[i] for i in shown])
        self._small = self._choose(shown)
        self._small_texts = [self.samples[i].target for i in self._small]
        self._bank = None

    def _choose(self, shown: list[int]) -> list[int]:
        """Positions of clips with distinct captions, the same for the same samples in any order."""
        clips: set[tuple[Any, ...]] = set()
        said: set[int] = set()
        chosen = []
        for i in sorted(shown, key=lambda i: hashlib.blake2b(self.samples[i].id.encode()).digest()):
            clip, meaning = _clip(self.samples[i]), self._relevance[self.samples[i].target]
            if clip not in clips and meaning not in said:
                clips.add(clip)
                said.add(meaning)
                chosen.append(i)
        return chosen[: self.score_gallery]

    def update(self, objective: Objective, batch: Batch, embedding: Tensor | None) -> None:
        """Add a batch; samples with a query are passed over."""
        rows = [i for i, s in enumerate(batch.samples) if not s.query]
        self._by_score = embedding is None
        if embedding is not None:
            if self._bank is None and self._captions:  # once per evaluation
                self._bank = objective.embed_text(list(self._captions)).float().cpu()  # [C, E]
            if rows:
                self.append(batch.index[rows], vector=embedding[rows])
            return
        small = set(self._small)
        rows = [i for i in rows if int(batch.index[i]) in small]
        if rows:
            scores = objective.score(batch.select(rows), [self._small_texts] * len(rows))
            self.append(batch.index[rows], vector=torch.stack(scores))

    def results(self, positions: list[int], columns: dict[str, Tensor]) -> list[Result]:
        """Text-to-video R@1 is the headline; the smaller gallery comes after the whole one."""
        vectors = columns["vector"]  # embeddings [n, E], or scores of the smaller gallery's captions [n, K]
        row = {position: i for i, position in enumerate(positions)}
        small = self._gallery([i for i in self._small if i in row])
        name = f"gallery {len(self._small)}"
        if self._by_score and small.clips:
            column = {text: i for i, text in enumerate(self._small_texts)}
            scores = vectors[[row[i] for i in small.clips]][:, [column[t] for t in small.texts]]
            return self._both_ways(small, lambda at: scores.T[at], lambda at: scores[at], name)
        if self._bank is None:  # a rank without any batch leaves the arithmetic to the others
            return []
        found = []
        for gallery, group in ((self._gallery(positions), "all"), (small, name)):
            if not gallery.clips:
                continue
            video = vectors[[row[i] for i in gallery.clips]]  # [V, E]
            text = self._bank[[self._captions[t] for t in gallery.texts]]  # [C, E]
            found += self._both_ways(
                gallery,
                lambda at, video=video, text=text: text[at] @ video.T,  # type: ignore[misc]
                lambda at, video=video, text=text: video[at] @ text.T,  # type: ignore[misc]
                group,
            )
        return found

    def _gallery(self, positions: Iterable[int]) -> _Gallery:
        meanings: dict[tuple[Any, ...], set[int]] = defaultdict(set)
        clips: dict[tuple[Any, ...], int] = {}
        texts: dict[str, int] = {}
        for i in positions:
            sample = self.samples[i]
            clips.setdefault(_clip(sample), i)
            texts.setdefault(sample.target, i)
            meanings[_clip(sample)].add(self._relevance[sample.target])
        return _Gallery(list(clips.values()), list(texts), list(texts.values()), list(meanings.values()))

    def _both_ways(self, gallery: _Gallery, to_video: Scores, to_text: Scores, group: str) -> list[Result]:
        means = [self._relevance[text] for text in gallery.texts]
        clips_of: dict[int, list[int]] = defaultdict(list)
        texts_of: dict[int, list[int]] = defaultdict(list)
        for j, meaning in enumerate(means):
            texts_of[meaning].append(j)
        for i, several in enumerate(gallery.meanings):
            for meaning in several:
                clips_of[meaning].append(i)
        videos = [clips_of[meaning] for meaning in means]  # of each caption
        captions = [[j for m in several for j in texts_of[m]] for several in gallery.meanings]  # of each clip
        found = self._rows("text-to-video", to_video, videos, gallery.texts_from, len(gallery.clips), group)
        found += self._rows("video-to-text", to_text, captions, gallery.clips, len(gallery.texts), group)
        if group == "all" or self._by_score:
            self._examples = []
            for at in _chunks(len(gallery.clips)):
                best = to_text(at).max(dim=1)
                for i, right, j, score in zip(
                    gallery.clips[at], captions[at], best.indices.tolist(), best.values.tolist(), strict=True
                ):
                    sample, said = self.samples[i], gallery.texts[j]
                    # of several captions that fit, the one that was found
                    self._examples.append(Example(sample, said, said if j in right else sample.target, score))
        return found

    def _rows(
        self, way: str, score: Scores, positives: list[list[int]], queries: list[int], size: int, group: str
    ) -> list[Result]:
        found = []
        for at in _chunks(len(positives)):
            mask = torch.zeros(len(positives[at]), size, dtype=torch.bool)
            for i, columns in enumerate(positives[at]):
                mask[i, columns] = True
            found.append(ranks_of_scores(score(at), mask))
        ranks = torch.cat(found)
        units = episodes([self.samples[i] for i in queries])
        counts = [len(p) for p in positives]
        n = len(ranks)
        results = []
        for k in (1, 5, 10):
            low, high = bootstrap_interval(hits_at(ranks, k).numpy(), groups=units)
            chance = chance_recall(k, gallery=size, positives=counts)
            note = f"{n} queries, gallery of {size}"
            results.append(
                Result(self.name, f"{way} R@{k}", recall_at(ranks, k), n, chance, low, high, group, note=note)
            )
        low, high = bootstrap_interval(ranks.numpy(), groups=units, statistic=weighted_median)
        chance = chance_median_rank(gallery=size, positives=counts)
        middle = Result(self.name, f"{way} median rank", median_rank(ranks), n, chance, low, high, group)
        middle.note, middle.higher_is_better = f"of {size}", False
        return [*results, middle]

    def options(self) -> dict[str, Any]:
        """Return the size of the smaller gallery."""
        return {"score_gallery": self.score_gallery}


@dataclass(frozen=True)
class _Gallery:
    """Distinct clips and captions of some samples.

    Attributes:
        clips: Position of the first sample of each clip.
        texts: The captions.
        texts_from: Position of the first sample of each caption.
        meanings: What each clip's captions mean, see `_relevance`.
    """

    clips: list[int]
    texts: list[str]
    texts_from: list[int]
    meanings: list[set[int]]


def _clip(sample: Sample) -> tuple[Any, ...]:
    return sample.media, sample.start, sample.end


def _chunks(n: int) -> list[slice]:
    return [slice(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK)]


def _relevance(samples: Iterable[Sample]) -> dict[str, int]:
    """Number the captions so that those of one group, and they alone, have one number."""
    parent: dict[str | int, str | int] = {}

    def root(node: str | int) -> str | int:
        while parent.setdefault(node, node) != node:
            node = parent[node]
        return node

    samples = list(samples)
    for sample in samples:
        parent[root(sample.target)] = root(sample.group_id)
    numbers: dict[str | int, int] = {}
    return {s.target: numbers.setdefault(root(s.target), len(numbers)) for s in samples}
