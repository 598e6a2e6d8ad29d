"""Objectives that look their answers up, and batches of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from jepa_vl.data.base import SampleSet
from jepa_vl.objectives.base import EMBED, SCORE, Collator, Objective
from jepa_vl.sample import Batch, Item, Sample, TextTokens
from jepa_vl.tasks.base import Result, Task

WIDTH = 16


class Looked(Objective):
    """Knows a vector for each sample and each text; scores by their product, so that both ways agree."""

    def __init__(self, video: dict[str, Tensor], text: dict[str, Tensor], *abilities: str) -> None:
        super().__init__()
        self.video, self.text = video, text
        self.abilities = frozenset(abilities or (EMBED, SCORE))
        self.scored: list[str] = []
        self.embedded: list[str] = []

    def collator(self) -> Collator:
        raise NotImplementedError

    def embed_video(self, batch: Batch) -> Tensor:
        return normalize(torch.stack([self.video[s.id] for s in batch.samples]), dim=-1)

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        self.embedded += texts
        return normalize(torch.stack([self.text[t] for t in texts]), dim=-1)

    def score(self, batch: Batch, candidates: Sequence[Sequence[str]]) -> list[Tensor]:
        self.scored += [s.id for s in batch.samples]
        # what it is asked about must be what the batch holds
        assert batch.index.tolist() == batch.tokens[:, 0, 0].long().tolist()
        return [self.embed_text(c) @ v for c, v in zip(candidates, self.embed_video(batch), strict=True)]


class Listed(SampleSet):
    def __init__(self, samples: list[Sample], name: str = "test") -> None:
        self.name, self.samples = name, samples

    def __getitem__(self, index: int) -> Item:
        raise NotImplementedError


def batch_of(samples: Sequence[Sample], index: Sequence[int]) -> Batch:
    n = len(index)
    words = TextTokens(torch.zeros(n, 1, dtype=torch.long), torch.ones(n, 1, dtype=torch.bool))
    at = torch.tensor(index)
    tokens = at[:, None, None].float().expand(n, 1, 2)
    return Batch([samples[i] for i in index], at, at, words, words, tokens=tokens)


def evaluate(
    task: Task,
    objective: Looked,
    samples: list[Sample],
    *,
    batches: Iterable[Sequence[int]] | None = None,
    labels: Sequence[str] = (),
    train: Sequence[Sample] = (),
) -> list[Result]:
    task.bind(Listed(samples), labels=list(labels), train=list(train))
    for index in batches if batches is not None else [range(len(samples))]:
        batch = batch_of(samples, list(index))
        embedding = objective.embed_video(batch) if EMBED in objective.abilities else None
        task.update(objective, batch, embedding)
    return task.compute()


@pytest.fixture
def run() -> Callable[..., list[Result]]:
    return evaluate


@pytest.fixture
def objective() -> Callable[..., Looked]:
    """An objective with a random vector for each sample and text; the same for the same names."""

    def make(samples: Sequence[Sample], texts: Iterable[str], *abilities: str, **known: Any) -> Looked:
        generator = torch.Generator().manual_seed(0)
        text = {t: torch.randn(WIDTH, generator=generator) for t in sorted(set(texts))}
        video = {s.id: torch.randn(WIDTH, generator=generator) for s in sorted(samples, key=lambda s: s.id)}
        return Looked(video, {**text, **known}, *abilities)

    return make


@pytest.fixture
def rows() -> Callable[[list[Result]], dict[tuple[str, str], Result]]:
    def by_name(results: list[Result]) -> dict[tuple[str, str], Result]:
        found = {(r.group, r.metric): r for r in results}
        assert len(found) == len(results), "two rows have one name"
        return found

    return by_name


BATCHINGS = {
    "one by one": [[i] for i in range(24)],
    "threes, backwards": [[23 - i, 22 - i, 21 - i] for i in range(0, 24, 3)],
    "uneven": [list(range(5)), list(range(5, 6)), list(range(6, 24))],
    "padded with repeats": [list(range(20)), [20, 21, 22, 23, 0, 1, 2, 3]],
}


@pytest.fixture(params=BATCHINGS.values(), ids=BATCHINGS.keys())
def batching(request: pytest.FixtureRequest) -> list[list[int]]:
    """Ways to go through 24 samples, repeats included."""
    return request.param
