"""The task ``babyai_told``: whether a caption says what happens, in whatever words."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import ClassVar

import torch
from torch import Tensor

from jepa_vl.data.base import SampleSet
from jepa_vl.metrics.bootstrap import bootstrap_interval
from jepa_vl.objectives.base import GENERATE, Objective
from jepa_vl.sample import Batch, Sample
from jepa_vl.tasks.base import Example, Result
from jepa_vl.tasks.gallery import is_captioned
from jepa_vl.tasks.indexed import IndexedTask, episodes
from jepa_vl_babyai.meaning import Meaning
from jepa_vl_babyai.reading import read

CAPTION, EVENT, SENTENCE = "right caption", "right event", "readable"
NOTES = {
    CAPTION: "verb, thing, what it is put next to, and turn",
    EVENT: "verb, colour and kind, as the class says",
    SENTENCE: "a sentence of this world, right or wrong",
}


class ToldTask(IndexedTask):
    """Has a caption said for each clip of BabyAI and reads what it says (`reading.read`).

    Unlike CIDEr it does not depend on the wording: who says "the red orb was collected by someone" is as
    right as who says "the agent picks up the red ball". Use it where models have learnt different wordings.
    The baseline ``majority`` always says the most frequent training caption's meaning.

    Args:
        max_new_tokens: Length at which what an objective generates is cut.
    """

    name: ClassVar[str] = "babyai_told"
    needs: ClassVar[frozenset[str]] = frozenset({GENERATE})

    def __init__(self, *, max_new_tokens: int = 32) -> None:
        super().__init__()
        self.max_new_tokens = max_new_tokens
        self._majority: Meaning | None = None
        self._said: dict[int, str] = {}
        self._outcomes: dict[str, dict[str, float]] = {}
        for metric in NOTES:
            self._add_column(_column(metric), torch.float32)

    def bind(self, samples: SampleSet, *, labels: list[str], train: list[Sample]) -> None:
        """Say what is evaluated; the baseline counts the meanings of ``train``."""
        super().bind(samples, labels=labels, train=train)
        meant = Counter(s.group for s in train if is_captioned(s) and s.group)
        self._majority = Meaning.parse(meant.most_common(1)[0][0]) if meant else None
        self._said = {}
        self._outcomes = {}

    def update(self, objective: Objective, batch: Batch, embedding: Tensor | None) -> None:
        """Add a batch; samples that are no captioned clips are passed over."""
        rows = [i for i, s in enumerate(batch.samples) if is_captioned(s)]
        if not rows:
            return
        asked = batch.select(rows)
        said = objective.generate(asked, max_new_tokens=self.max_new_tokens)
        self._said |= dict(zip(asked.index.tolist(), said, strict=True))
        points = [
            _points(read(text), Meaning.parse(s.group or ""))
            for s, text in zip(asked.samples, said, strict=True)
        ]
        columns = {_column(m): torch.tensor([each[m] for each in points]) for m in NOTES}
        self.append(asked.index, **columns)

    def results(self, positions: list[int], columns: dict[str, Tensor]) -> list[Result]:
        """Right captions over all (the headline) and by verb, then right events and readable sentences."""
        seen = [self.samples[i] for i in positions]
        self._outcomes = {
            m: {s.id: v for s, v in zip(seen, columns[_column(m)].tolist(), strict=True)} for m in NOTES
        }
        verbs: dict[str, list[Sample]] = defaultdict(list)
        for sample in seen:
            verbs[sample.kind or ""].append(sample)
        right = self._outcomes[CAPTION]
        self._examples = [
            Example(self.samples[i], self._said[i], self.samples[i].target, right[self.samples[i].id])
            for i in positions
            if i in self._said  # on this rank
        ]
        found = [self._row(CAPTION, seen, "all")]
        if len(verbs) > 1:
            found += [self._row(CAPTION, verbs[verb], verb) for verb in sorted(verbs)]
        return [*found, self._row(EVENT, seen, "all"), self._row(SENTENCE, seen, "all")]

    def _row(self, metric: str, samples: list[Sample], group: str) -> Result:
        values = [self._outcomes[metric][s.id] for s in samples]
        low, high = bootstrap_interval(values, groups=episodes(samples))
        n = len(values)
        baselines = {}
        if self._majority is not None and metric != SENTENCE:
            same = [_points(self._majority, Meaning.parse(s.group or ""))[metric] for s in samples]
            baselines["majority"] = sum(same) / n
        return Result(
            self.name, metric, sum(values) / n, n, None, low, high, group, baselines, note=NOTES[metric]
        )

    def outcomes(self) -> dict[str, dict[str, float]]:
        """Return whether each caption was right, of the right event, and readable."""
        return self._outcomes

    def options(self) -> dict[str, int]:
        """Return the length that is said."""
        return {"max_new_tokens": self.max_new_tokens}


def _column(metric: str) -> str:
    return metric.replace(" ", "_")


def _points(said: Meaning | None, true: Meaning) -> dict[str, float]:
    return {
        CAPTION: float(said == true),
        EVENT: float(said is not None and said.event_class == true.event_class),
        SENTENCE: float(said is not None),
    }
