"""Discriminative visual question answering: the candidate answer that is nearest to the predicted one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from jepa_vl.data.base import SampleSet
from jepa_vl.metrics.bootstrap import bootstrap_interval
from jepa_vl.metrics.ranks import TIE
from jepa_vl.objectives.base import EMBED, SCORE, Objective
from jepa_vl.sample import Batch, Sample
from jepa_vl.tasks.base import Example, Result
from jepa_vl.tasks.indexed import IndexedTask, episodes


class VQATask(IndexedTask):
    """Chooses among each sample's own ``candidates``, for samples that have them (section 4.4).

    Reports the accuracy over all and by ``kind``; a kind such as ``presence/popular`` counts for
    ``presence`` too. Candidates that tie share the point. Of yes-no kinds the share of yes is reported,
    which shows a bias that the accuracy hides. The trivial baseline answers without the video: the most
    frequent training answer to the same question, else to questions of the same kind, else to any.
    """

    name: ClassVar[str] = "vqa"
    needs: ClassVar[frozenset[str]] = frozenset({EMBED, SCORE})

    def __init__(self) -> None:
        super().__init__()
        self._bank: Tensor | None = None
        self._blind: _QuestionOnly | None = None
        self._texts: dict[str, int] = {}
        self._add_column("credit", torch.float32)
        self._add_column("predicted", torch.int64)
        self._add_column("score", torch.float32)

    def bind(self, samples: SampleSet, *, labels: list[str], train: list[Sample]) -> None:
        """Say what is evaluated; the baseline counts the answers of ``train``."""
        super().bind(samples, labels=labels, train=train)
        answers = (text for s in self.samples for text in s.candidates or ())
        self._texts = {text: i for i, text in enumerate(dict.fromkeys(answers))}
        asked = [s for s in train if s.candidates is not None]
        self._blind = _QuestionOnly(asked) if asked else None
        self._bank = None

    def update(self, objective: Objective, batch: Batch, embedding: Tensor | None) -> None:
        """Add a batch; samples without candidates are passed over."""
        rows = [i for i, s in enumerate(batch.samples) if s.candidates]
        if not rows:
            return
        asked = [batch.samples[i] for i in rows]
        candidates = [list(s.candidates or ()) for s in asked]
        if embedding is not None:
            bank = self._answers(objective)
            similarity = (embedding[rows].float() @ bank.T).cpu()  # [n, all answers]
            each = [
                similarity[i, [self._texts[text] for text in texts]] for i, texts in enumerate(candidates)
            ]
        else:
            each = [s.float().cpu() for s in objective.score(batch.select(rows), candidates)]
        scores = pad_sequence(each, batch_first=True, padding_value=-torch.inf)  # [n, K]
        best = scores.max(dim=1, keepdim=True)
        level = scores >= best.values - TIE
        right = torch.tensor(
            [texts.index(s.right_answer) for s, texts in zip(asked, candidates, strict=True)]
        )
        self.append(
            batch.index[rows],
            credit=level.gather(1, right[:, None])[:, 0].double() / level.sum(dim=1),
            predicted=level.int().argmax(dim=1),  # the first of those that tie
            score=best.values[:, 0],
        )

    def _answers(self, objective: Objective) -> Tensor:
        if self._bank is None:  # once per evaluation
            self._bank = objective.embed_text(list(self._texts)).float()  # [all answers, E]
        return self._bank

    def results(self, positions: list[int], columns: dict[str, Tensor]) -> list[Result]:
        """Accuracy over all (the headline), then by kind, then the share of yes."""
        seen = [self.samples[i] for i in positions]
        credit = columns["credit"].tolist()
        said = [(s.candidates or ())[i] for s, i in zip(seen, columns["predicted"].tolist(), strict=True)]
        self._examples = [
            Example(s, answer, s.right_answer, score)
            for s, answer, score in zip(seen, said, columns["score"].tolist(), strict=True)
        ]
        groups: dict[str, list[int]] = defaultdict(list)
        for i, sample in enumerate(seen):
            for group in _kinds(sample):
                groups[group].append(i)
        # a kind with a single finer kind would say the same twice
        names = ["all", *(g for g in sorted(groups) if not _same_as_finer(g, groups))]
        groups["all"] = list(range(len(seen)))
        found = [
            self._accuracy(name, [seen[i] for i in groups[name]], [credit[i] for i in groups[name]])
            for name in names
        ]
        for name in names[1:]:
            yes = self._yes_share(name, [seen[i] for i in groups[name]], [said[i] for i in groups[name]])
            found += [] if yes is None else [yes]
        return found

    def _accuracy(self, group: str, samples: list[Sample], credit: list[float]) -> Result:
        low, high = bootstrap_interval(credit, groups=episodes(samples))
        n = len(samples)
        chance = sum(1 / len(s.candidates or ()) for s in samples) / n
        baselines = {}
        if self._blind is not None:
            baselines["question only"] = sum(self._blind(s) == s.right_answer for s in samples) / n
        return Result(self.name, "accuracy", sum(credit) / n, n, chance, low, high, group, baselines)

    def _yes_share(self, group: str, samples: list[Sample], said: list[str]) -> Result | None:
        if any({c.lower() for c in s.candidates or ()} != {"yes", "no"} for s in samples):
            return None
        yes = [float(answer.lower() == "yes") for answer in said]
        truth = sum(s.right_answer.lower() == "yes" for s in samples) / len(samples)
        low, high = bootstrap_interval(yes, groups=episodes(samples))
        note = "not a score; 'chance' is the share of yes among the right answers"
        share = sum(yes) / len(yes)
        return Result(self.name, "yes share", share, len(yes), truth, low, high, group, note=note)


class _QuestionOnly:
    """Answers without looking: the most frequent training answer among the candidates."""

    def __init__(self, train: Sequence[Sample]) -> None:
        self.counts: dict[Hashable, Counter[str]] = defaultdict(Counter)
        for sample in train:
            for key in self._keys(sample):
                self.counts[key][sample.right_answer] += 1

    @staticmethod
    def _keys(sample: Sample) -> tuple[Hashable, ...]:
        return ("query", sample.query), ("kind", sample.kind), ()

    def __call__(self, sample: Sample) -> str:
        candidates = sample.candidates or ()
        for key in self._keys(sample):
            count = self.counts.get(key, Counter())
            if any(count[c] for c in candidates):
                return max(candidates, key=lambda c: count[c])
        return candidates[0]


def _kinds(sample: Sample) -> list[str]:
    """``presence/popular`` → ``presence`` and ``presence/popular``."""
    parts = (sample.kind or "").split("/")
    return ["/".join(parts[: i + 1]) for i in range(len(parts))] if sample.kind else []


def _same_as_finer(kind: str, groups: dict[str, list[int]]) -> bool:
    return any(other.startswith(f"{kind}/") and groups[other] == groups[kind] for other in groups)
