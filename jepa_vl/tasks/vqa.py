"""Discriminative visual question answering: the candidate answer that is nearest to the predicted one."""

from __future__ import annotations

import logging
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
from jepa_vl.tasks.yes_no import is_split, is_yes_no, mean_over_splits, yes_no_rows, yes_share

log = logging.getLogger(__name__)


class VQATask(IndexedTask):
    """Chooses among each sample's own ``candidates``, for samples that have them (section 4.4).

    Reports the accuracy over all and by ``kind``; a kind such as ``tallyqa/simple`` counts for ``tallyqa``
    too, whose accuracy is over all of its samples: TallyQA's mean of simple and complex, weighted by their
    numbers. Candidates that tie share the point. Of yes-no kinds the share of yes is reported, which
    shows a bias that the accuracy hides; of POPE's splits (kinds that end in ``random``, ``popular`` or
    ``adversarial``) precision, recall and F1 of yes as well, and the means over the splits. The trivial
    baseline answers without the video: the most frequent training answer to the same question, else to
    questions of the same kind, else to any.

    Samples that share a list of candidates are asked together, so that a list of all answers of a data set
    costs no more than its length.
    """

    name: ClassVar[str] = "vqa"
    needs: ClassVar[frozenset[str]] = frozenset({EMBED, SCORE})

    def __init__(self) -> None:
        super().__init__()
        self._bank: Tensor | None = None
        self._blind: _QuestionOnly | None = None
        self._lists: dict[tuple[str, ...], list[str]] = {}
        self._places: dict[tuple[str, ...], Tensor] = {}
        self._truncated = 0
        self._outcomes: dict[str, dict[str, float]] = {}
        self._add_column("credit", torch.float32)
        self._add_column("predicted", torch.int64)
        self._add_column("score", torch.float32)

    def bind(self, samples: SampleSet, *, labels: list[str], train: list[Sample]) -> None:
        """Say what is evaluated; the baseline counts the answers of ``train``."""
        super().bind(samples, labels=labels, train=train)
        given = dict.fromkeys(s.candidates or () for s in self.samples if _is_asked(s))
        # a candidate that is given twice is one answer
        self._lists = {texts: list(dict.fromkeys(texts)) for texts in given}
        self._texts = list(dict.fromkeys(text for texts in self._lists.values() for text in texts))
        place = {text: i for i, text in enumerate(self._texts)}
        self._places = {
            texts: torch.tensor([place[text] for text in distinct]) for texts, distinct in self._lists.items()
        }
        asked = [s for s in train if _is_asked(s)]
        self._blind = _QuestionOnly(asked) if asked else None
        self._bank = None
        self._truncated = 0
        self._outcomes = {}

    def update(self, objective: Objective, batch: Batch, embedding: Tensor | None) -> None:
        """Add a batch; samples without candidates are passed over."""
        rows = [i for i, s in enumerate(batch.samples) if _is_asked(s)]
        if not rows:
            return
        self._truncated += batch.query.truncated + batch.target.truncated
        asked = [batch.samples[i] for i in rows]
        candidates = [self._distinct(s) for s in asked]
        if embedding is not None:
            each = self._similarities(objective, embedding[rows].float(), asked)
        else:
            each = [s.float() for s in objective.score(batch.select(rows), candidates)]
        scores = pad_sequence(each, batch_first=True, padding_value=-torch.inf).cpu()  # [n, K]
        best = scores.max(dim=1, keepdim=True)
        # where no answer can be said, all score -∞, as what fills up shorter lists does
        real = torch.arange(scores.shape[1]) < torch.tensor([[len(texts)] for texts in candidates])
        level = (scores >= best.values - TIE) & real
        right = torch.tensor(
            [texts.index(s.right_answer) for s, texts in zip(asked, candidates, strict=True)]
        )
        self.append(
            batch.index[rows],
            credit=level.gather(1, right[:, None])[:, 0].double() / level.sum(dim=1),
            predicted=level.int().argmax(dim=1),  # the first of those that tie
            score=best.values[:, 0],
        )

    def _distinct(self, sample: Sample) -> list[str]:
        """Return the sample's candidates; one and the same list for all that share them."""
        return self._lists[sample.candidates or ()]

    def _similarities(self, objective: Objective, embedding: Tensor, asked: Sequence[Sample]) -> list[Tensor]:
        """Compare n predictions ``[n, E]`` with their candidates: n × ``[K_i]``."""
        if self._bank is None:  # once per evaluation
            self._bank = objective.embed_text(self._texts).float()  # [all answers, E]
        alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for i, sample in enumerate(asked):
            alike[sample.candidates or ()].append(i)
        found: dict[int, Tensor] = {}
        for texts, rows in alike.items():
            bank = self._bank[self._places[texts].to(self._bank.device)]  # [K, E]
            found.update(zip(rows, embedding[rows] @ bank.T, strict=True))
        return [found[i] for i in range(len(asked))]

    def results(self, positions: list[int], columns: dict[str, Tensor]) -> list[Result]:
        """Accuracy over all (the headline), then by kind, then what yes-no questions add."""
        if self._truncated:
            log.warning(
                "vqa: %d texts of the batches with questions are longer than the context and are cut off",
                self._truncated,
            )
        seen = [self.samples[i] for i in positions]
        credit = columns["credit"].tolist()
        said = [self._distinct(s)[i] for s, i in zip(seen, columns["predicted"].tolist(), strict=True)]
        self._examples = [
            Example(s, answer, s.right_answer, score)
            for s, answer, score in zip(seen, said, columns["score"].tolist(), strict=True)
        ]
        self._outcomes = {"accuracy": {s.id: c for s, c in zip(seen, credit, strict=True)}}
        groups: dict[str, list[int]] = defaultdict(list)
        for i, sample in enumerate(seen):
            for group in _kinds(sample):
                groups[group].append(i)
        # a kind with a single finer kind would say the same twice
        names = ["all", *(g for g in sorted(groups) if not _same_as_finer(g, groups))]
        groups["all"] = list(range(len(seen)))
        blind = None if self._blind is None else [float(self._blind(s) == s.right_answer) for s in seen]
        found = [self._accuracy(name, seen, groups[name], credit, blind) for name in names]
        for name in names:
            rows = groups[name]
            found += self._yes_no(
                name, [seen[i] for i in rows], [said[i] for i in rows], [credit[i] for i in rows]
            )
        return found

    def _accuracy(
        self,
        group: str,
        seen: Sequence[Sample],
        rows: Sequence[int],
        credit: Sequence[float],
        blind: Sequence[float] | None,
    ) -> Result:
        """Return the row of the samples at ``rows``, given every sample's point and the baseline's."""
        samples, points = [seen[i] for i in rows], [credit[i] for i in rows]
        low, high = bootstrap_interval(points, groups=episodes(samples))
        n = len(rows)
        chance = sum(1 / len(self._distinct(s)) for s in samples) / n
        baselines = {} if blind is None else {"question only": sum(blind[i] for i in rows) / n}
        return Result(self.name, "accuracy", sum(points) / n, n, chance, low, high, group, baselines)

    def _yes_no(
        self, group: str, samples: list[Sample], said: list[str], credit: list[float]
    ) -> list[Result]:
        if not all(is_yes_no(s) for s in samples):
            return []
        kinds = {s.kind or "" for s in samples}
        splits = [kind for kind in kinds if is_split(kind)]
        if group in splits:
            return yes_no_rows(self.name, group, samples, said)
        found = [] if group == "all" else [yes_share(self.name, group, samples, said)]
        of_one_set = {kind.rpartition("/")[0] for kind in kinds} in ({group}, {""})
        if len(splits) > 1 and len(splits) == len(kinds) and of_one_set:
            found += mean_over_splits(self.name, group, samples, said, credit)
        return found

    def outcomes(self) -> dict[str, dict[str, float]]:
        """Return each sample's point, as of the last `compute`; those of a kind are among them."""
        return self._outcomes


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


def _is_asked(sample: Sample) -> bool:
    return bool(sample.candidates) and bool(sample.media) and sample.negative is None


def _kinds(sample: Sample) -> list[str]:
    """``presence/popular`` → ``presence`` and ``presence/popular``."""
    parts = (sample.kind or "").split("/")
    return ["/".join(parts[: i + 1]) for i in range(len(parts))] if sample.kind else []


def _same_as_finer(kind: str, groups: dict[str, list[int]]) -> bool:
    return any(other.startswith(f"{kind}/") and groups[other] == groups[kind] for other in groups)
