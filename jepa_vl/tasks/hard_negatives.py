"""Text hard negatives: does the text encoder tell another wording from another meaning?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from jepa_vl.data.base import SampleSet
from jepa_vl.errors import UserError
from jepa_vl.metrics.ranks import TIE
from jepa_vl.objectives.base import EMBED, Objective
from jepa_vl.sample import Batch, Sample
from jepa_vl.tasks.base import Example, Result
from jepa_vl.tasks.means import MeansTask, Measure, groups_of
from jepa_vl.text.base import TextEncoder

log = logging.getLogger(__name__)

#: Of three exchangeable similarities each is the largest equally often.
CHANCE = 1 / 3


class HardNegativesTask(MeansTask):
    """SugarCrepe++ and VISLA triplets, by the text encoder alone (section 4.7).

    With p1 the ``target``, p2 the ``paraphrase`` and n the ``negative`` of a sample, it is right if
    sim(p1, p2) > sim(p1, n) and sim(p1, p2) > sim(p2, n); equal similarities are wrong. The headline is the
    mean over the kinds, as the paper averages.

    The baseline ``untouched encoder`` is the same pretrained text model as it was before any training
    (`TextEncoder.untouched`), which the paper leaves out: the difference to it is what the training did.
    """

    name: ClassVar[str] = "hard_negatives"
    needs: ClassVar[frozenset[str]] = frozenset({EMBED})

    def __init__(self) -> None:
        super().__init__()
        self._add_column("likeness", torch.float32)  # of p1 and p2, p1 and n, p2 and n: [n, 3]
        self._untouched: dict[int, Tensor] | None = None

    def bind(self, samples: SampleSet, *, labels: list[str], train: list[Sample]) -> None:
        """Say what is evaluated."""
        super().bind(samples, labels=labels, train=train)
        self._untouched = None

    def update(self, objective: Objective, batch: Batch, embedding: Tensor | None) -> None:
        """Add a batch; samples without a negative are passed over."""
        rows = [i for i, s in enumerate(batch.samples) if s.negative is not None]
        if not rows:
            return
        if self._untouched is None:  # once per evaluation: its weights are read for it
            self._untouched = self._baseline(objective)
        texts = _texts([batch.samples[i] for i in rows])
        self.append(batch.index[rows], likeness=_likeness(objective.embed_text(texts)))

    def _baseline(self, objective: Objective) -> dict[int, Tensor]:
        """Similarities by the untouched encoder, ``[3]`` for each position; none where there is no such."""
        encoder = getattr(objective, "text_encoder", None)
        if not isinstance(encoder, TextEncoder):
            return {}
        positions = [i for i, s in enumerate(self.samples) if s.negative is not None]
        try:
            embeddings = encoder.untouched(_texts([self.samples[i] for i in positions]))
        except UserError as error:  # its weights are not on this machine any more
            log.warning("hard_negatives: no baseline 'untouched encoder': %s", error)
            return {}
        if embeddings is None:
            return {}
        return dict(zip(positions, _likeness(embeddings).cpu(), strict=True))

    def results(self, positions: list[int], columns: dict[str, Tensor]) -> list[Result]:
        """Mean over kinds (the headline, where there are several), then accuracy over all and by kind."""
        seen = [self.samples[i] for i in positions]
        likeness = columns["likeness"]  # [n, 3]
        self._examples = [_example(s, each) for s, each in zip(seen, likeness, strict=True)]
        baselines = {}
        if self._untouched:
            baselines["untouched encoder"] = _right(torch.stack([self._untouched[i] for i in positions]))
        accuracy = Measure("accuracy", _right(likeness), CHANCE, baselines)
        kinds = [s.kind or "" for s in seen]
        groups = groups_of([s.kind for s in seen])
        found = self.report(seen, [accuracy], groups)
        if not groups:
            return found
        note = f"{len(set(kinds))} kinds"
        mean = Measure("mean over kinds", accuracy.values, CHANCE, baselines, kinds, note)
        return [self.row(seen, mean), *found]


def _texts(samples: Sequence[Sample]) -> list[str]:
    return [t for s in samples for t in (s.target, str(s.paraphrase), str(s.negative))]


def _likeness(embeddings: Tensor) -> Tensor:
    """Similarities of (p1, p2), (p1, n), (p2, n) from the rows p1, p2, n of each triplet: ``[n, 3]``."""
    p1, p2, n = normalize(embeddings.float(), dim=-1).unflatten(0, (-1, 3)).unbind(1)  # [n, E] each
    return torch.stack([(p1 * p2).sum(-1), (p1 * n).sum(-1), (p2 * n).sum(-1)], dim=1)


def _right(likeness: Tensor) -> Tensor:
    return (likeness[:, :1] > likeness[:, 1:] + TIE).all(dim=1).double()  # [n]


def _example(sample: Sample, likeness: Tensor) -> Example:
    right = bool(_right(likeness[None]))
    said = str(sample.paraphrase if right else sample.negative)
    return Example(sample, said, str(sample.paraphrase), float(likeness[0] - likeness[1:].max()))
