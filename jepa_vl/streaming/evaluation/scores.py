"""What policies scored on annotated streams: numbers by annotation and by stream, and curves of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from jepa_vl.streaming.evaluation.decided import Decided
from jepa_vl.streaming.evaluation.quality import Floats, Ints
from jepa_vl.streaming.evaluation.savings import Curve

#: What may be saved: decodes; the time of deciding and decoding; that and the embedding of every window; or
#: the same where a policy that looks at no embedding embeds only the windows that it decodes.
Spent = Literal["calls", "decoding", "whole", "sparse"]


@dataclass(frozen=True)
class Judged:
    """One policy at one rate, with what its texts are worth.

    Attributes:
        decided: What it decided.
        texts: The text that each of A annotations is compared with.
        cider: CIDEr of each ``[A]``.
        said: Whether it is the annotation's very text ``[A]``.
        similarity: Cosine of what was decoded with the annotation ``[A]``; None without embeddings.
    """

    decided: Decided
    texts: list[str]
    cider: Floats
    said: Floats
    similarity: Floats | None = None


@dataclass(frozen=True)
class PolicyScores:
    """One policy at R rates.

    Attributes:
        label: Its short name.
        causal: Whether it decides from what has been seen alone.
        uniform: Whether others are compared with it.
        pooled: Whether it decodes means of several windows.
        bound: Whether it shows what is possible, and is nothing to use: random and oracle.
        at: By rate.
    """

    label: str
    causal: bool
    uniform: bool
    pooled: bool
    bound: bool
    at: list[Judged]


@dataclass(frozen=True)
class Bound:
    """What is decoded without a policy: CIDEr and equality by annotation ``[A]``."""

    name: str
    cider: Floats
    said: Floats
    note: str = ""


@dataclass(frozen=True)
class Cost:
    """Seconds that one call takes, one at a time as in a live stream; None where it was not measured.

    Attributes:
        window: To embed a window from its frames; encoder, predictor and query.
        decode: To say a text: of an embedding, or of a whole window for an objective that only generates.
    """

    window: float | None
    decode: float | None


@dataclass(frozen=True)
class Scores:
    """S streams with A annotations.

    Attributes:
        rates: R, in Hz, falling.
        reference_rate: One of them.
        tolerance: In seconds.
        stream: The stream of each annotation ``[A]``.
        durations: Seconds of each stream ``[S]``.
        windows: Number of windows of each ``[S]``.
        policies: In the order of the recipe.
        bounds: What is decoded without a policy.
        cost: Of a window and of a decode.
    """

    rates: list[float]
    reference_rate: float
    tolerance: float
    stream: Ints
    durations: Floats
    windows: Floats
    policies: list[PolicyScores]
    bounds: list[Bound] = field(default_factory=list)
    cost: Cost = field(default=Cost(None, None))

    @property
    def annotations(self) -> Floats:
        """Number of annotations of each stream ``[S]``."""
        return self.by_stream(np.ones(len(self.stream)))

    def by_stream(self, values: Floats) -> Floats:
        """Return the sums over the annotations of each stream, ``[A] → [S]``."""
        return np.bincount(self.stream, values, minlength=len(self.durations)).astype(np.float64)

    def reference_of(self, policy: PolicyScores) -> PolicyScores:
        """Return the uniform policy with the same pooling, else the first uniform one."""
        uniform = [p for p in self.policies if p.uniform]
        return next((p for p in uniform if p.pooled == policy.pooled), uniform[0])

    @property
    def headline(self) -> PolicyScores:
        """The first policy that is neither uniform nor a bound, else the first."""
        return next((p for p in self.policies if not (p.uniform or p.bound)), self.policies[0])

    def curve(self, policy: PolicyScores, spent: Spent) -> Curve | None:
        """Return CIDEr and what is spent by stream and rate; None where the cost was not measured."""
        calls = np.stack([j.decided.calls for j in policy.at], axis=1)  # [S, R]
        quality = np.stack([self.by_stream(j.cider) for j in policy.at], axis=1)
        if spent == "calls":
            return Curve(quality, calls, calls)
        if self.cost.decode is None:
            return None
        seconds = calls * self.cost.decode + np.stack([j.decided.seconds for j in policy.at], axis=1)
        if spent == "decoding":
            return Curve(quality, calls, seconds)
        if self.cost.window is None:
            return None
        sparse = spent == "sparse" and policy.uniform and not policy.pooled
        embedded = calls if sparse else np.broadcast_to(self.windows[:, None], calls.shape)
        return Curve(quality, calls, seconds + embedded * self.cost.window)
