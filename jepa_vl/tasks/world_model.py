"""World modelling: which of several clips shows the action that leads from one state to the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from jepa_vl.data.base import SampleSet
from jepa_vl.errors import ManifestError, nearest
from jepa_vl.metrics.ranks import hits_at, ranks_of_scores
from jepa_vl.objectives.base import EMBED, Objective
from jepa_vl.sample import Batch, Sample
from jepa_vl.tasks.base import Example, Result
from jepa_vl.tasks.means import MeansTask, Measure, groups_of


class WorldModelTask(MeansTask):
    """WorldPrediction-WM's protocol (section 4.3), for samples with ``choices``.

    The media of a question is a folder of two images, the initial and the final state: frames are drawn
    evenly, so that the encoder sees the first image several times and then the second. The clips to choose
    from are samples of the kind ``choice`` in the same set. All of them are embedded as videos, and the
    clip nearest to the states wins. A clip that is level with the right one counts as wrong.

    The baseline ``mean state`` gives every question the mean of all state embeddings, and so knows the
    choices alone.
    """

    name: ClassVar[str] = "world_model"
    needs: ClassVar[frozenset[str]] = frozenset({EMBED})

    def __init__(self) -> None:
        super().__init__()
        self._add_column("vector", torch.float32)

    def bind(self, samples: SampleSet, *, labels: list[str], train: list[Sample]) -> None:
        """Say what is evaluated.

        Raises:
            ManifestError: A choice is not in the set.
        """
        super().bind(samples, labels=labels, train=train)
        place = {s.id: i for i, s in enumerate(self.samples)}
        self._choices: dict[int, list[int]] = {}  # of each question, by its place
        self._wanted: set[int] = set()
        for i, sample in enumerate(self.samples):
            if sample.choices is None:
                continue
            for choice in sample.choices:
                if choice not in place:
                    near = "".join(f"; did you mean '{name}'?" for name in nearest(choice, place, most=1))
                    raise ManifestError(
                        f"sample '{sample.id}': choice '{choice}' is not in the set '{samples.name}'; all "
                        "choices of a question must be samples of its split, with readable media" + near
                    )
            self._choices[i] = [place[choice] for choice in sample.choices]
            self._wanted |= {i, *self._choices[i]}

    def update(self, objective: Objective, batch: Batch, embedding: Tensor | None) -> None:
        """Add a batch; samples that are neither questions nor choices are passed over."""
        rows = [i for i, at in enumerate(batch.index.tolist()) if at in self._wanted]
        if rows and embedding is not None:
            self.append(batch.index[rows], vector=embedding[rows])

    def results(self, positions: list[int], columns: dict[str, Tensor]) -> list[Result]:
        """Accuracy over all questions, then by kind."""
        vectors = normalize(columns["vector"].double(), dim=-1)  # [n, E]
        row = {position: i for i, position in enumerate(positions)}
        asked = [i for i, choices in self._choices.items() if {i, *choices} <= row.keys()]
        if not asked:
            return []
        seen = [self.samples[i] for i in asked]
        states = vectors[[row[i] for i in asked]]  # [Q, E]
        clips = [vectors[[row[c] for c in self._choices[i]]] for i in asked]  # Q × [K, E]
        scores = [clip @ state for clip, state in zip(clips, states, strict=True)]
        blind = [clip @ states.mean(dim=0) for clip in clips]
        self._examples = [_example(s, score) for s, score in zip(seen, scores, strict=True)]
        left_out = len(self._choices) - len(asked)
        accuracy = Measure(
            "accuracy",
            _hits(seen, scores),
            chance=torch.tensor([sum(_right(s)) / len(_right(s)) for s in seen], dtype=torch.float64),
            baselines={"mean state": _hits(seen, blind)},
            note=f"{left_out} left out: not all of their clips were seen" if left_out else "",
        )
        return self.report(seen, [accuracy], groups_of([s.kind for s in seen]))


def _right(sample: Sample) -> list[bool]:
    assert sample.choices is not None
    return [choice == sample.answer for choice in sample.choices]


def _hits(samples: Sequence[Sample], scores: Sequence[Tensor]) -> Tensor:
    """Whether the right choice of each of Q questions, and no other, is the best: float64 ``[Q]``."""
    ranks = [
        ranks_of_scores(score[None], torch.tensor([_right(s)]))
        for s, score in zip(samples, scores, strict=True)
    ]
    return hits_at(torch.cat(ranks), 1)


def _example(sample: Sample, score: Tensor) -> Example:
    assert sample.choices is not None
    best = int(score.argmax())
    return Example(sample, sample.choices[best], str(sample.answer), float(score[best]))
