"""Scores policies on annotated streams: from embeddings and a decoder, or from texts of whole windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jepa_vl.metrics.caption_tokens import tokenize
from jepa_vl.metrics.cider import cider_scores
from jepa_vl.streaming.base import Decode, EmbeddingStream, Policy
from jepa_vl.streaming.evaluation.cost import rows_of, seconds_of
from jepa_vl.streaming.evaluation.decided import Decided, decide
from jepa_vl.streaming.evaluation.quality import NONE, Floats
from jepa_vl.streaming.evaluation.scores import Bound, Cost, Judged, PolicyScores, Scores
from jepa_vl.streaming.policies.oracle import OraclePolicy
from jepa_vl.streaming.policies.random import RandomPolicy
from jepa_vl.streaming.policies.uniform import UniformPolicy

AT_ONCE = 256
CLIPS, TRUE, CONSTANT = "annotated clips", "true embeddings", "majority"
NOTES = {
    CLIPS: "the text of a clip around each annotation: perfect knowledge of when",
    TRUE: "what is decoded from the embedding of the annotation itself: perfect predictions too",
    CONSTANT: "always the most frequent training text",
}


@dataclass(frozen=True)
class Sweep:
    """What is compared.

    Attributes:
        policies: ``uniform`` is among them.
        rates: In Hz, falling.
        reference_rate: One of them.
        tolerance: How far from an annotation a decode may lie to be about it, in seconds.
    """

    policies: Sequence[Policy]
    rates: list[float]
    reference_rate: float
    tolerance: float

    def blind(self) -> Sweep:
        """Return the sweep of the policies that look at no embedding and decode windows as they are."""
        kinds = (UniformPolicy, RandomPolicy, OraclePolicy)
        able = [p for p in self.policies if isinstance(p, kinds) and not _pooled(p)]
        return replace(self, policies=able)

    def decide(
        self, streams: Sequence[EmbeddingStream], text_of: Callable[[int, Decode], int]
    ) -> list[list[Decided]]:
        """Run every policy on every stream at every rate; see `decide`."""
        return [
            decide(p, streams, self.rates, tolerance=self.tolerance, text_of=text_of) for p in self.policies
        ]


@dataclass(frozen=True)
class Voice:
    """What an objective is asked when the streams are known.

    Attributes:
        device: On which embeddings are decoded.
        decode: Embeddings ``[n, E]`` → texts.
        embed_text: Texts → embeddings ``[n, E]``.
    """

    device: torch.device
    decode: Callable[[Tensor], list[str]]
    embed_text: Callable[[Sequence[str]], Tensor]

    @torch.no_grad()
    def texts(self, embeddings: Tensor) -> list[str]:
        """Decode n embeddings ``[n, E]`` in batches."""
        if not len(embeddings):
            return []
        return [text for block in embeddings.split(AT_ONCE) for text in self.decode(block.to(self.device))]

    @torch.no_grad()
    def seconds(self, embeddings: Tensor) -> float | None:
        """Return what one decode takes."""
        return seconds_of(self.decode, rows_of(embeddings.to(self.device)), self.device)


class Judge:
    """Compares texts with A annotations: CIDEr with the annotations' document frequencies; equality."""

    def __init__(self, annotations: Sequence[str]) -> None:
        self.annotations = list(annotations)
        self._tokens: dict[str, list[str]] = {}
        self._expected = [self._tokenised(text) for text in annotations]

    def _tokenised(self, text: str) -> list[str]:
        if text not in self._tokens:
            self._tokens[text] = tokenize(text)
        return self._tokens[text]

    def scores(self, texts: Sequence[str]) -> tuple[Floats, Floats]:
        """Return CIDEr and equality of tokens of A texts, ``[A]`` each."""
        said = [self._tokenised(text) for text in texts]
        same = np.array([float(a == b) for a, b in zip(said, self._expected, strict=True)])
        return cider_scores(said, [[tokens] for tokens in self._expected]), same

    def bound(self, name: str, texts: Sequence[str]) -> Bound:
        """Return what these A texts score, as a bound."""
        return Bound(name, *self.scores(texts), NOTES[name])


def score_embeddings(
    sweep: Sweep,
    streams: Sequence[EmbeddingStream],
    annotations: Sequence[str],
    voice: Voice,
    *,
    clips: NDArray[np.float32] | None = None,
    constant: str | None = None,
    window_seconds: float | None = None,
) -> Scores:
    """Score policies on S streams of embeddings.

    Args:
        sweep: What is compared.
        streams: With their events.
        annotations: The text of each event, A over all streams, in their order.
        voice: Decodes each distinct embedding once.
        clips: Embeddings of a clip around each annotation ``[A, E]``, for the bound ``annotated clips``.
        constant: For the bound ``majority``.
        window_seconds: What embedding a window takes.
    """
    judge = Judge(annotations)
    number: dict[bytes, int] = {}

    def text_of(_: int, decode: Decode) -> int:
        return number.setdefault(_content(decode.embedding), len(number))

    found = sweep.decide(streams, text_of)
    around = [number.setdefault(_content(clip), len(number)) for clip in clips] if clips is not None else []
    stacked = np.stack([np.frombuffer(content, dtype=np.float32) for content in number])  # [n, E]
    texts = voice.texts(torch.tensor(stacked))
    place = {text: i for i, text in enumerate(dict.fromkeys(annotations))}
    with torch.no_grad():
        targets = voice.embed_text(list(place)).float().cpu()  # [distinct annotations, E]
    wanted = targets.numpy()[[place[text] for text in annotations]]  # [A, E]

    def judged(decided: Decided) -> Judged:
        at = decided.text
        alike = np.where(at == NONE, 0.0, (stacked[at] * wanted).sum(axis=1))
        said = ["" if i == NONE else texts[i] for i in at.tolist()]
        return Judged(decided, said, *judge.scores(said), alike)

    true = voice.texts(targets)
    bounds = {CLIPS: [texts[i] for i in around]} if around else {}
    bounds[TRUE] = [true[place[text]] for text in annotations]
    cost = Cost(window_seconds, voice.seconds(torch.tensor(stacked)))
    return _scores(
        sweep, streams, judge, [[judged(d) for d in each] for each in found], bounds, constant, cost
    )


def score_windows(
    sweep: Sweep,
    streams: Sequence[EmbeddingStream],
    annotations: Sequence[str],
    window_text: Callable[[int, float], str],
    *,
    clips: Sequence[str] | None = None,
    constant: str | None = None,
    window_seconds: float | None = None,
) -> Scores:
    """Score the policies that look at no embedding, for an objective that says a text of a whole window.

    Args:
        sweep: What is compared; policies that look at embeddings are left out.
        streams: With their events, and any embeddings.
        annotations: The text of each event, A over all streams, in their order.
        window_text: Stream and second → text of the window there.
        clips: Text of a clip around each annotation.
        constant: For the bound ``majority``.
        window_seconds: What the text of a window takes.
    """
    sweep, judge = sweep.blind(), Judge(annotations)
    texts: dict[str, int] = {}

    def text_of(s: int, decode: Decode) -> int:
        return texts.setdefault(window_text(s, decode.at), len(texts))

    found = sweep.decide(streams, text_of)
    known = list(texts)

    def judged(decided: Decided) -> Judged:
        said = ["" if i == NONE else known[i] for i in decided.text.tolist()]
        return Judged(decided, said, *judge.scores(said))

    # nothing is embedded beside what is said
    cost = Cost(0.0, window_seconds)
    bounds = {} if clips is None else {CLIPS: list(clips)}
    return _scores(
        sweep, streams, judge, [[judged(d) for d in each] for each in found], bounds, constant, cost
    )


def _scores(
    sweep: Sweep,
    streams: Sequence[EmbeddingStream],
    judge: Judge,
    judged: list[list[Judged]],
    bounds: dict[str, list[str]],
    constant: str | None,
    cost: Cost,
) -> Scores:
    if constant is not None:
        bounds = {**bounds, CONSTANT: [constant] * len(judge.annotations)}
    return Scores(
        rates=sweep.rates,
        reference_rate=sweep.reference_rate,
        tolerance=sweep.tolerance,
        stream=np.repeat(np.arange(len(streams)), [len(s.events) for s in streams]),
        durations=np.array([s.duration for s in streams]),
        windows=np.array([len(s) for s in streams], dtype=np.float64),
        policies=[
            PolicyScores(
                label=p.label,
                causal=p.causal,
                uniform=isinstance(p, UniformPolicy),
                pooled=_pooled(p),
                bound=isinstance(p, RandomPolicy | OraclePolicy),
                at=each,
            )
            for p, each in zip(sweep.policies, judged, strict=True)
        ],
        bounds=[judge.bound(name, texts) for name, texts in bounds.items()],
        cost=cost,
    )


def _pooled(policy: Policy) -> bool:
    return bool(getattr(policy, "pooled", False))


def _content(embedding: NDArray[np.float32]) -> bytes:
    return np.ascontiguousarray(embedding, dtype=np.float32).tobytes()
