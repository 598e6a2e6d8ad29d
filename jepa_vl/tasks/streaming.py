"""Streaming: when a long video is decoded, what the text is worth, and what it costs (section 4.6)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from jepa_vl.data.base import SampleSet
from jepa_vl.errors import RecipeError, UserError
from jepa_vl.metrics.caption_tokens import TOKENISATION
from jepa_vl.metrics.text_state import pack, unpack
from jepa_vl.objectives.base import DECODE, EMBED, GENERATE, Objective
from jepa_vl.sample import Batch, Sample
from jepa_vl.streaming.base import Decode, Policy
from jepa_vl.streaming.evaluation.cost import seconds_of, single_batches
from jepa_vl.streaming.evaluation.judging import Sweep, Voice, score_embeddings, score_windows
from jepa_vl.streaming.evaluation.scores import Scores
from jepa_vl.streaming.policies.covering import CoveragePolicy
from jepa_vl.streaming.policies.online import TriggeredPolicy
from jepa_vl.streaming.policies.oracle import OraclePolicy
from jepa_vl.streaming.policies.random import RandomPolicy
from jepa_vl.streaming.policies.selective import SelectivePolicy
from jepa_vl.streaming.policies.uniform import UniformPolicy
from jepa_vl.tasks.base import Example, Result
from jepa_vl.tasks.indexed import IndexedTask
from jepa_vl.tasks.streaming_rows import details, rows
from jepa_vl.tasks.streaming_sets import AnnotatedStream, annotated_streams

#: Rates of the paper's Fig 4, in Hz: a decode every 0.5 to 100 s.
RATES = (2.0, 1.0, 0.5, 0.35, 0.2, 0.15, 0.1, 0.075, 0.05, 0.02, 0.01)
SHOWN = (1.0, 0.35)


class StreamingTask(IndexedTask):
    """Compares policies that decide when a stream of embeddings is decoded, at a sweep of rates.

    A stream is a media file with samples of the kind ``stream``, which say their target at each of their
    ``timestamps``, and samples of the kind ``window``, its sliding windows of one length. Every annotation
    is compared with the decoded text nearest in time, of two as near ones the earlier (section 4.6): CIDEr
    of the pair with the document frequencies of all annotations, whether it is the very text, and, where the
    objective embeds, the cosine of what was decoded with the annotation. An annotation is found if a decode
    lies within ``tolerance`` of it, and a decode is about an annotation if it lies so near to one. Intervals
    are of drawing whole streams.

    An objective that decodes says the text of every distinct embedding once. One that can only generate
    says that of whole windows; policies that look at embeddings are left out for it.

    Args:
        policies: What is compared; ``uniform`` must be among them. By default uniform, selective
            and coverage, each with and without pooling, online, and the bounds random and oracle. The
            headline is about the first that is neither uniform nor a bound.
        rates: Decodes a second, in Hz; those of the paper's Fig 4 by default.
        reference_rate: The rate of ``uniform`` whose quality the others must reach with fewer decodes.
        shown_rates: Rates that have rows of results, 1 and 0.35 Hz by default; `details` has all.
        tolerance: How far from an annotation a decode may lie to be about it, in seconds.
        max_new_tokens: Length at which what an objective decodes or generates is cut.

    Raises:
        RecipeError: A number is out of its range, two policies have one label, or ``uniform`` is missing.
    """

    name: ClassVar[str] = "streaming"
    needs: ClassVar[frozenset[str]] = frozenset({DECODE, GENERATE})

    said_length: list[Tensor]
    said_content: list[Tensor]

    def __init__(
        self,
        *,
        policies: list[Policy] | None = None,
        rates: list[float] | None = None,
        reference_rate: float = 1.0,
        shown_rates: list[float] | None = None,
        tolerance: float = 1.0,
        max_new_tokens: int = 32,
    ) -> None:
        super().__init__()
        every = sorted({*(RATES if rates is None else rates), reference_rate}, reverse=True)
        policies = default_policies() if policies is None else list(policies)
        self.sweep = Sweep(policies, every, reference_rate, tolerance)
        self.shown_rates = list(SHOWN) if shown_rates is None else shown_rates
        self.max_new_tokens = max_new_tokens
        self._check()
        self._streams: list[AnnotatedStream] = []
        self._parts: set[int] = set()
        self._asked: set[int] | None = None
        self._constant: str | None = None
        self._voice: Voice | None = None
        self._window_seconds: float | None = None
        self._scores: Scores | None = None
        self._outcomes: dict[str, dict[str, float]] = {}
        self._add_column("vector", torch.float32)  # of a window's or an annotation's clip
        self._add_column("said_length", torch.int64)  # in bytes; -1 where nothing was generated
        self.add_state("said_content", default=[], dist_reduce_fx="cat")
        self.reset()

    def _check(self) -> None:
        for name, values in (("rates", self.sweep.rates), ("tolerance", [self.sweep.tolerance])):
            if min(values) <= 0:
                raise RecipeError(f"streaming.{name} is {min(values):g}; expected more than 0")
        if self.max_new_tokens < 1:
            raise RecipeError(f"streaming.max_new_tokens is {self.max_new_tokens}; expected 1 or more")
        labels = [policy.label for policy in self.sweep.policies]
        twice = next((label for label in labels if labels.count(label) > 1), None)
        if twice is not None:
            raise RecipeError(f"streaming.policies has '{twice}' twice; their rows could not be told apart")
        if not any(isinstance(policy, UniformPolicy) for policy in self.sweep.policies):
            raise RecipeError(
                f"streaming.policies has no 'uniform', which the others are compared with; it has {labels}"
            )

    def reset(self) -> None:
        """Forget what was seen."""
        super().reset()
        self.said_content = [torch.empty(0, dtype=torch.uint8, device=self.device)]

    def bind(self, samples: SampleSet, *, labels: list[str], train: list[Sample]) -> None:
        """Say what is evaluated.

        Raises:
            ManifestError: The samples of a stream do not make one; see
                `jepa_vl.tasks.streaming_sets.annotated_streams`.
        """
        super().bind(samples, labels=labels, train=train)
        self._set = samples
        self._streams = annotated_streams(samples.samples, samples.name)
        self._parts = set().union(*(s.parts for s in self._streams))
        said = Counter(s.target for s in train if s.media and s.target and s.label is None and not s.query)
        self._constant = said.most_common(1)[0][0] if said else None
        self._asked = self._voice = self._window_seconds = self._scores = None
        self._outcomes = {}

    def update(self, objective: Objective, batch: Batch, embedding: Tensor | None) -> None:
        """Add a batch; samples that are of no stream are passed over.

        Raises:
            UserError: The objective can neither decode embeddings nor generate.
        """
        first = self._voice is None
        decode = partial(objective.decode, max_new_tokens=self.max_new_tokens)
        self._voice = Voice(objective.device, decode, objective.embed_text)
        at = [i for i, index in enumerate(batch.index.tolist()) if index in self._parts]
        if not self._streams:
            return
        if {EMBED, DECODE} <= objective.abilities:
            if first:
                self._measure(objective, objective.embed_video)
            if at and embedding is not None:
                nothing = torch.full((len(at),), -1)
                self.append(batch.index[at], vector=embedding[at].float(), said_length=nothing)
            return
        if GENERATE not in objective.abilities:
            known = ", ".join(sorted(objective.abilities)) or "nothing"
            raise UserError(
                f"the task streaming needs an objective that can {EMBED} and {DECODE}, or {GENERATE}; "
                f"{type(objective).__name__} can {known}: name its decoder as objective.decoder"
            )
        if first:
            self._measure(objective, lambda one: self._generate(objective, one))
        self._add_texts(objective, batch, at)

    def _add_texts(self, objective: Objective, batch: Batch, at: list[int]) -> None:
        if self._asked is None:
            self._asked = self._needed()
        asked = [k for k, i in enumerate(at) if int(batch.index[i]) in self._asked]
        said = self._generate(objective, batch.select([at[k] for k in asked])) if asked else []
        spoken, content = pack(said)
        lengths = torch.full((len(at),), -1)
        lengths[asked] = spoken
        self.said_content.append(content.to(self.device))
        self.append(batch.index[at], vector=torch.zeros(len(at), 1), said_length=lengths)

    def _generate(self, objective: Objective, batch: Batch) -> list[str]:
        return objective.generate(batch, max_new_tokens=self.max_new_tokens)

    def _needed(self) -> set[int]:
        """Positions whose text is compared: policies that look at no embedding decide beforehand."""
        found = {i for s in self._streams for i in s.annotated}

        def note(s: int, decode: Decode) -> int:
            found.add(self._streams[s].window_at(decode.at))
            return 0

        self.sweep.blind().decide([s.blind() for s in self._streams], note)
        return found

    def _measure(self, objective: Objective, call: Callable[[Batch], object]) -> None:
        batches = single_batches(objective, self._set, self._streams[0].windows)
        self._window_seconds = seconds_of(call, batches, objective.device)

    def results(self, positions: list[int], columns: dict[str, Tensor]) -> list[Result]:
        """How many times fewer decodes selective needs (the headline), then policy by policy."""
        row = {position: i for i, position in enumerate(positions)}
        seen = [s for s in self._streams if s.parts <= row.keys()]
        if not seen or self._voice is None:
            return []
        annotations = [text for s in seen for text in s.texts]
        if bool((columns["said_length"] >= 0).any()):
            texts = self._texts()
            self._scores = score_windows(
                self.sweep,
                [s.blind() for s in seen],
                annotations,
                lambda s, second: texts[seen[s].window_at(second)],
                clips=[texts[i] for s in seen for i in s.annotated],
                constant=self._constant,
                window_seconds=self._window_seconds,
            )
        else:
            vectors = _unit(columns["vector"].numpy())  # [n, E]
            self._scores = score_embeddings(
                self.sweep,
                [s.stream(vectors[[row[i] for i in s.windows]]) for s in seen],
                annotations,
                self._voice,
                clips=vectors[[row[i] for s in seen for i in s.annotated]],
                constant=self._constant,
                window_seconds=self._window_seconds,
            )
        left_out = len(self._streams) - len(seen)
        note = f"{left_out} streams left out: not all of their windows were seen" if left_out else ""
        self._remember([self.samples[i] for s in seen for i in s.annotated], self._scores)
        return rows(self._scores, self.name, self.shown_rates, note=note)

    def _texts(self) -> dict[int, str]:
        lengths = dim_zero_cat(self.said_length)
        said = unpack(lengths.clamp(min=0), dim_zero_cat(self.said_content))
        positions = dim_zero_cat(self.row_index).tolist()
        return {p: text for p, text, n in zip(positions, said, lengths.tolist(), strict=True) if n >= 0}

    def _remember(self, annotated: list[Sample], scores: Scores) -> None:
        """Keep what each annotation scored at the shown rates, and the headline policy's texts."""
        self._outcomes = {}
        for policy in scores.policies:
            for each in policy.at:
                if each.decided.rate not in self.shown_rates:
                    continue
                group = f"{policy.label} @ {each.decided.rate:g} Hz"
                for metric, values in (("CIDEr", each.cider), ("said", each.said)):
                    of: dict[str, list[float]] = defaultdict(list)
                    for sample, value in zip(annotated, values.tolist(), strict=True):
                        of[sample.id].append(value)
                    self._outcomes[f"{group}/{metric}"] = {i: float(np.mean(v)) for i, v in of.items()}
        told = scores.headline.at[scores.rates.index(scores.reference_rate)]
        self._examples = [
            Example(sample, said, sample.target, float(score))
            for sample, said, score in zip(annotated, told.texts, told.cider, strict=True)
        ]

    def outcomes(self) -> dict[str, dict[str, float]]:
        """Return what each annotation scored at the shown rates; the mean over its timestamps."""
        return self._outcomes

    def details(self) -> dict[str, Any]:
        """Return every number of every policy at every rate, as of the last `compute`; see ``curves``."""
        return {} if self._scores is None else details(self._scores)

    def options(self) -> dict[str, Any]:
        """Return the policies, the rates and the tolerance."""
        return {
            "policies": [policy.label for policy in self.sweep.policies],
            "rates": self.sweep.rates,
            "reference_rate": self.sweep.reference_rate,
            "tolerance": self.sweep.tolerance,
            "max_new_tokens": self.max_new_tokens,
            "tokenisation": TOKENISATION,
        }


def default_policies() -> list[Policy]:
    """Return what is compared where a recipe says nothing: the paper's four, ours, and the bounds."""
    return [
        UniformPolicy(),
        UniformPolicy(pooled=True),
        SelectivePolicy(),
        SelectivePolicy(pooled=True),
        CoveragePolicy(),
        CoveragePolicy(pooled=True),
        TriggeredPolicy(),
        RandomPolicy(),
        OraclePolicy(),
    ]


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, norms, out=vectors.copy(), where=norms > 0)
