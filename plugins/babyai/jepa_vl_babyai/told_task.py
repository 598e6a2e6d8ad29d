"""The task ``babyai_told``: whether a caption says what happens, in whatever words."""

from __future__ import annotations

import logging
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
from jepa_vl_babyai.settings import VERBS

log = logging.getLogger(__name__)

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
    It takes the samples whose ``group`` is a meaning of this world (`meaning.Meaning`); a warning says that
    there are none. The baseline ``majority`` always says the most frequent training caption's meaning.

    Args:
        max_new_tokens: Length at which what an objective generates is cut.
    """

    name: ClassVar[str] = "babyai_told"
    needs: ClassVar[frozenset[str]] = frozenset({GENERATE})

    def __init__(self, *, max_new_tokens: int = 32) -> None:
        super().__init__()
        self.max_new_tokens = max_new_tokens
        self._majority: Meaning | None = None
        self._true: dict[int, Meaning] = {}
        self._said: dict[int, str] = {}
        self._outcomes: dict[str, dict[str, float]] = {}
        for metric in NOTES:
            self._add_column(_column(metric), torch.float32)

    def bind(self, samples: SampleSet, *, labels: list[str], train: list[Sample]) -> None:
        """Say what is evaluated; the baseline counts the meanings of ``train``."""
        super().bind(samples, labels=labels, train=train)
        meant = Counter(m for s in train if (m := _meaning(s)) is not None)
        self._majority = meant.most_common(1)[0][0] if meant else None
        self._said = {}
        self._outcomes = {}
        self._true = {i: m for i, s in enumerate(self.samples) if (m := _meaning(s)) is not None}
        if not self._true:
            log.warning("%s: no sample of '%s' is a captioned clip of BabyAI", self.name, samples.name)

    def update(self, objective: Objective, batch: Batch, embedding: Tensor | None) -> None:
        """Add a batch; samples that are no captioned clips are passed over."""
        rows = [i for i, at in enumerate(batch.index.tolist()) if at in self._true]
        if not rows:
            return
        asked = batch.select(rows)
        said = objective.generate(asked, max_new_tokens=self.max_new_tokens)
        each_said = list(zip(asked.index.tolist(), said, strict=True))
        self._said |= dict(each_said)
        points = [_points(read(text), self._true[at]) for at, text in each_said]
        columns = {_column(m): torch.tensor([each[m] for each in points]) for m in NOTES}
        self.append(asked.index, **columns)

    def results(self, positions: list[int], columns: dict[str, Tensor]) -> list[Result]:
        """Right captions over all (the headline) and by verb, then right events and readable sentences."""
        seen = [self.samples[i] for i in positions]
        self._outcomes = {
            m: {s.id: v for s, v in zip(seen, columns[_column(m)].tolist(), strict=True)} for m in NOTES
        }
        verbs: dict[str, list[int]] = defaultdict(list)
        for i in positions:
            verbs[self._true[i].verb].append(i)
        right = self._outcomes[CAPTION]
        self._examples = [
            Example(self.samples[i], self._said[i], self.samples[i].target, right[self.samples[i].id])
            for i in positions
            if i in self._said  # on this rank
        ]
        found = [self._row(CAPTION, positions, "all")]
        if len(verbs) > 1:
            found += [self._row(CAPTION, verbs[verb], verb) for verb in sorted(verbs)]
        return [*found, self._row(EVENT, positions, "all"), self._row(SENTENCE, positions, "all")]

    def _row(self, metric: str, positions: list[int], group: str) -> Result:
        samples = [self.samples[i] for i in positions]
        values = [self._outcomes[metric][s.id] for s in samples]
        low, high = bootstrap_interval(values, groups=episodes(samples))
        n = len(values)
        baselines = {}
        if self._majority is not None and metric != SENTENCE:
            same = [_points(self._majority, self._true[i])[metric] for i in positions]
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


def _meaning(sample: Sample) -> Meaning | None:
    """What a captioned clip of BabyAI shows; None for any other sample."""
    group = sample.group or ""
    known = group.split("|")[0] in VERBS and group.count("|") in (3, 5)
    return Meaning.parse(group) if known and is_captioned(sample) else None


def _column(metric: str) -> str:
    return metric.replace(" ", "_")


def _points(said: Meaning | None, true: Meaning) -> dict[str, float]:
    return {
        CAPTION: float(said == true),
        EVENT: float(said is not None and said.event_class == true.event_class),
        SENTENCE: float(said is not None),
    }
