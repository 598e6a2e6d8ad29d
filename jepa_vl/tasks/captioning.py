"""Captioning: what an objective says of a clip, beside what people said of it."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from jepa_vl.data.base import SampleSet
from jepa_vl.data.windows import MOMENT
from jepa_vl.errors import RecipeError, did_you_mean
from jepa_vl.metrics.bootstrap import Floats
from jepa_vl.metrics.caption_scores import (
    BLEU4,
    CIDER,
    EXACT,
    ROUGE,
    caption_scores,
    corpus_interval,
    corpus_score,
)
from jepa_vl.metrics.caption_tokens import TOKENISATION
from jepa_vl.metrics.text_state import pack, unpack
from jepa_vl.objectives.base import DECODE, EMBED, GENERATE, Objective
from jepa_vl.sample import CHOICE, WINDOW, Batch, Sample
from jepa_vl.tasks.base import Example, Result, Unit
from jepa_vl.tasks.indexed import IndexedTask, episodes

log = logging.getLogger(__name__)

SIMILARITY = "similarity"
MAJORITY, FROM_TRUE = "majority", "from true embedding"
NOTES = {
    CIDER: "CIDEr-D as pycocoevalcap's, stored from 0 to 10 and printed × 100 as papers do; no share",
    BLEU4: "of the corpus",
    EXACT: "equal tokens to one of the references",
    SIMILARITY: "cosine in the model's own space; 'chance' is with the captions of other clips",
}
UNITS: dict[str, Unit] = {
    CIDER: "points",
    BLEU4: "points",
    ROUGE: "points",
    EXACT: "percent",
    SIMILARITY: "number",
}
_TEXTS = ("said", "from_true")


class CaptioningTask(IndexedTask):
    """Says a caption for each clip and compares it with all captions that people gave (section 4.5).

    It takes the samples that have a media file and a target and ask for no choice: no label, candidates,
    choices, negative or timestamps. Samples of one clip and query are one: their targets are its references.
    Texts are compared as tokens, see `jepa_vl.metrics.caption_tokens`. The document frequencies of CIDEr are
    those of all references, for parts of the samples too.

    An objective that embeds is also asked for the mean cosine of its predicted embedding with those of the
    clip's captions, in its own space: two objectives' values do not compare. If it decodes, the baseline
    ``from true embedding`` is what its decoder makes of the embedding of a true caption: what is lost when
    the prediction is perfect. The baseline ``majority`` always says the most frequent training caption.

    Args:
        max_new_tokens: Length at which what an objective generates is cut.
        kinds: Only samples of these kinds; all by default.

    Raises:
        RecipeError: ``max_new_tokens`` is not positive, or ``kinds`` is an empty list.
    """

    name: ClassVar[str] = "captioning"
    needs: ClassVar[frozenset[str]] = frozenset({EMBED, GENERATE})

    said_content: list[Tensor]
    from_true_content: list[Tensor]

    def __init__(self, *, max_new_tokens: int = 32, kinds: list[str] | None = None) -> None:
        super().__init__()
        if max_new_tokens < 1:
            raise RecipeError(f"captioning.max_new_tokens is {max_new_tokens}; expected 1 or more")
        if kinds is not None and not kinds:
            raise RecipeError("captioning.kinds is an empty list; leave it out to take every kind")
        self.max_new_tokens = max_new_tokens
        self.kinds = kinds
        self._clips: dict[int, list[int]] = {}
        self._majority: str | None = None
        self._bank: Tensor | None = None
        self._decoded: dict[str, str] = {}
        self._outcomes: dict[str, dict[str, float]] = {}
        self._add_column("own", torch.float32)  # cosine with the clip's captions, NaN without embeddings
        self._add_column("others", torch.float32)  # cosine with the captions of other clips
        for text in _TEXTS:
            self._add_column(f"{text}_length", torch.int64)  # in bytes; -1 where nothing was said
            self.add_state(f"{text}_content", default=[], dist_reduce_fx="cat")
        self.reset()

    def reset(self) -> None:
        """Forget what was said."""
        super().reset()
        for text in _TEXTS:
            setattr(self, f"{text}_content", [torch.empty(0, dtype=torch.uint8, device=self.device)])

    def bind(self, samples: SampleSet, *, labels: list[str], train: list[Sample]) -> None:
        """Say what is evaluated, and gather the captions of each clip."""
        super().bind(samples, labels=labels, train=train)
        clips: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        for i, s in enumerate(self.samples):
            if self._takes(s):
                clips[s.media, s.start, s.end, s.query].append(i)
        self._clips = {members[0]: members for members in clips.values()}
        said = Counter(s.target for s in train if self._takes(s))
        self._majority = said.most_common(1)[0][0] if said else None
        self._bank = None
        self._decoded = {}
        self._outcomes = {}
        known = {s.kind for s in self.samples if s.kind is not None}
        for kind in set(self.kinds or ()) - known:
            hint = did_you_mean(kind, known)
            log.warning("captioning.kinds: no sample of '%s' is of kind '%s'; %s", samples.name, kind, hint)

    def _takes(self, sample: Sample) -> bool:
        asked = (sample.label, sample.candidates, sample.choices, sample.negative, sample.timestamps)
        return (
            bool(sample.media and sample.target)
            and all(each is None for each in asked)
            and sample.kind not in (CHOICE, WINDOW, MOMENT)  # the text of a moment is looked for, not said
            and (self.kinds is None or sample.kind in self.kinds)
        )

    def update(self, objective: Objective, batch: Batch, embedding: Tensor | None) -> None:
        """Add a batch; of several samples of one clip, the first of the set is asked about."""
        rows = [i for i, at in enumerate(batch.index.tolist()) if at in self._clips]
        if not rows:
            return
        leaders = [int(batch.index[i]) for i in rows]
        own = others = torch.full((len(rows),), torch.nan)
        if embedding is not None:
            own, others = self._cosines(objective, embedding[rows].float(), leaders)
        said: list[str] | None = None
        if GENERATE in objective.abilities:
            said = objective.generate(batch.select(rows), max_new_tokens=self.max_new_tokens)
        columns = {"own": own, "others": others}
        for name, texts in (("said", said), ("from_true", self._from_true(objective, leaders))):
            lengths, content = pack(texts or [])
            columns[f"{name}_length"] = lengths if texts is not None else torch.full((len(rows),), -1)
            getattr(self, f"{name}_content").append(content.to(self.device))
        self.append(batch.index[rows], **columns)

    def _cosines(self, objective: Objective, predicted: Tensor, leaders: list[int]) -> tuple[Tensor, Tensor]:
        """Mean cosine of n predictions ``[n, E]`` with the captions of their clips, and of other clips."""
        if self._bank is None:  # once per evaluation: the sum of each clip's captions
            each = [self.samples[i].target for members in self._clips.values() for i in members]
            row = {text: i for i, text in enumerate(dict.fromkeys(each))}
            texts = objective.embed_text(list(row)).float()  # [distinct captions, E]
            self._bank = torch.stack(
                [texts[[row[self.samples[i].target] for i in m]].sum(dim=0) for m in self._clips.values()]
            )  # [clips, E]
            self._place = {leader: i for i, leader in enumerate(self._clips)}
        mine = self._bank[[self._place[i] for i in leaders]]  # [n, E]
        count = torch.tensor([len(self._clips[i]) for i in leaders], device=mine.device)
        rest = sum(map(len, self._clips.values())) - count  # 0 for the only clip: NaN, no chance
        return (predicted * mine).sum(1) / count, (predicted * (self._bank.sum(0) - mine)).sum(1) / rest

    def _from_true(self, objective: Objective, leaders: list[int]) -> list[str] | None:
        if not {EMBED, DECODE} <= objective.abilities:
            return None
        targets = [self.samples[i].target for i in leaders]
        new = [text for text in dict.fromkeys(targets) if text not in self._decoded]
        if new:
            decoded = objective.decode(objective.embed_text(new), max_new_tokens=self.max_new_tokens)
            self._decoded.update(zip(new, decoded, strict=True))
        return [self._decoded[text] for text in targets]

    def _texts(self, name: str, positions: Sequence[int]) -> list[str] | None:
        lengths = dim_zero_cat(getattr(self, f"{name}_length"))
        if bool((lengths < 0).any()):
            return None
        texts = unpack(lengths, dim_zero_cat(getattr(self, f"{name}_content")))
        known = dict(zip(dim_zero_cat(self.row_index).tolist(), texts, strict=True))
        return [known[i] for i in positions]

    def results(self, positions: list[int], columns: dict[str, Tensor]) -> list[Result]:
        """CIDEr (the headline), BLEU-4, ROUGE-L, exact match and similarity; over all, then by kind."""
        seen = [self.samples[i] for i in positions]
        captions = [[self.samples[i].target for i in self._clips[p]] for p in positions]
        said, from_true = (self._texts(name, positions) for name in _TEXTS)
        scores: dict[str, Floats] = {}
        baselines: dict[str, dict[str, Floats]] = {}
        if said is not None:
            scores |= caption_scores(said, captions)
            if self._majority is not None:
                baselines[MAJORITY] = caption_scores([self._majority] * len(seen), captions)
            if from_true is not None:
                baselines[FROM_TRUE] = caption_scores(from_true, captions)
        chance = columns["others"].double().numpy()
        if not columns["own"].isnan().any():
            scores[SIMILARITY] = columns["own"].double().numpy()
        self._outcomes = {
            metric: {s.id: float(value) for s, value in zip(seen, values, strict=True)}
            for metric, values in scores.items()
            if values.ndim == 1
        }
        if said is not None:
            self._examples = [
                Example(s, text, text if text in known else known[0], float(score))
                for s, text, known, score in zip(seen, said, captions, scores[CIDER], strict=True)
            ]
        found = []
        for group, rows in _groups(seen).items():
            units = episodes([seen[i] for i in rows])
            for metric, values in scores.items():
                of = values[rows]
                low, high = corpus_interval(of, units)
                row = Result(self.name, metric, corpus_score(of), len(rows), None, low, high, group)
                row.note, row.unit = NOTES.get(metric, ""), UNITS[metric]
                row.baselines = {
                    name: corpus_score(other[metric][rows])
                    for name, other in baselines.items()
                    if metric in other
                }
                if metric == SIMILARITY and not np.isnan(chance).any():
                    row.chance = float(chance[rows].mean())
                found.append(row)
        return found

    def outcomes(self) -> dict[str, dict[str, float]]:
        """Return CIDEr, ROUGE-L, exact match and similarity of each clip, by the id of its first sample."""
        return self._outcomes

    def options(self) -> dict[str, Any]:
        """Return the tokens that are compared, the length that is said, and the kinds taken."""
        return {"tokenisation": TOKENISATION, "max_new_tokens": self.max_new_tokens, "kinds": self.kinds}


def _groups(samples: Sequence[Sample]) -> dict[str, list[int]]:
    """All rows, and those of each kind where there are two or more."""
    by_kind: dict[str, list[int]] = defaultdict(list)
    for i, sample in enumerate(samples):
        if sample.kind is not None:
            by_kind[sample.kind].append(i)
    everything = {"all": list(range(len(samples)))}
    return everything | dict(sorted(by_kind.items())) if len(by_kind) > 1 else everything
