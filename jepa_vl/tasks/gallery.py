"""What retrieval searches: the distinct clips and captions of some samples, and which belong together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jepa_vl.data.windows import MOMENT
from jepa_vl.sample import CHOICE, WINDOW, Sample


def is_captioned(sample: Sample) -> bool:
    """Whether the sample is a clip with a caption: no query, and no part of another task's gallery."""
    kind = (sample.kind or "").partition("/")[0]
    return (
        not sample.query
        and bool(sample.media)
        and bool(sample.target.strip())
        and kind not in (WINDOW, CHOICE, MOMENT)
        and sample.choices is None
        and sample.negative is None
    )


def clip_of(sample: Sample) -> tuple[Any, ...]:
    """What makes a clip distinct: its media and the part of it."""
    return sample.media, sample.start, sample.end


@dataclass(frozen=True)
class Gallery:
    """Distinct clips and captions; a caption is right for every clip that shares its meaning.

    Attributes:
        clips: Position of the first sample of each clip.
        texts: The captions.
        texts_from: Position of the first sample of each caption.
        meanings: What each caption means, see `meanings_of`.
        said: What the captions of each clip mean.
    """

    clips: list[int]
    texts: list[str]
    texts_from: list[int]
    meanings: list[int]
    said: list[set[int]]

    @classmethod
    def of(cls, samples: Sequence[Sample], positions: Iterable[int], meanings: Mapping[str, int]) -> Gallery:
        """Gather the clips and captions of the samples at ``positions``."""
        clips: dict[tuple[Any, ...], int] = {}
        texts: dict[str, int] = {}
        said: dict[tuple[Any, ...], set[int]] = defaultdict(set)
        for i in positions:
            sample = samples[i]
            clips.setdefault(clip_of(sample), i)
            texts.setdefault(sample.target, i)
            said[clip_of(sample)].add(meanings[sample.target])
        return cls(
            list(clips.values()),
            list(texts),
            list(texts.values()),
            [meanings[text] for text in texts],
            list(said.values()),
        )

    @cached_property
    def right_clips(self) -> list[list[int]]:
        """For each caption, the places in ``clips`` of those it is right for."""
        clips_of: dict[int, list[int]] = defaultdict(list)
        for i, several in enumerate(self.said):
            for meaning in several:
                clips_of[meaning].append(i)
        return [clips_of[meaning] for meaning in self.meanings]

    @cached_property
    def right_texts(self) -> list[list[int]]:
        """For each clip, the places in ``texts`` of those that are right for it."""
        texts_of: dict[int, list[int]] = defaultdict(list)
        for j, meaning in enumerate(self.meanings):
            texts_of[meaning].append(j)
        return [[j for meaning in sorted(several) for j in texts_of[meaning]] for several in self.said]


def meanings_of(samples: Iterable[Sample]) -> dict[str, int]:
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
