"""Selective decoding of a live stream: a trigger says how much has changed, a threshold when to decode."""

from __future__ import annotations

import copy
import math
import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jepa_vl.errors import RecipeError
from jepa_vl.streaming.base import Decode, EmbeddingStream, Follower, OnlinePolicy
from jepa_vl.streaming.checks import require_finite, require_finite_window
from jepa_vl.streaming.policies.points import unit_mean
from jepa_vl.streaming.triggers.base import Trigger
from jepa_vl.streaming.triggers.controller import FixedThreshold, RateController, Threshold
from jepa_vl.streaming.triggers.novelty import NoveltyTrigger

Embedding = Literal["current", "since_change", "since_decode"]


class TriggeredPolicy(OnlinePolicy):
    """Decodes when a trigger's score is above a threshold, which adapts itself to hold the wanted rate.

    The window that first touches an event shows little of it. So once the score is above the threshold,
    it waits while the score still rises, for ``settle`` seconds at most, and decodes the window where it was
    highest. The latency of a decision is that wait and the half of a window; the wait is cut to a
    quarter of the mean interval where the rate is high.

    Args:
        trigger: What scores the windows; ``novelty`` by default.
        threshold: A fixed one, in the trigger's unit. The rate that is asked for is then not held.
        min_gap: Seconds from one decision to the next, at least. A rate above ``1 / min_gap`` is not reached.
        max_silence: Seconds without a decode after which the present window is decoded whatever it shows;
            None waits for ever. A rate below ``1 / max_silence`` is overrun.
        settle: Seconds to wait, at most, for the score to come to its peak.
        embedding: What is decoded: ``current``, the window with the highest score; ``since_change``, the
            mean direction since the score went above the threshold; ``since_decode``, that since the last
            decision.

    Raises:
        RecipeError: A number is out of its range, or the longest silence is within the gap.
    """

    def __init__(
        self,
        *,
        trigger: Trigger | None = None,
        threshold: float | None = None,
        min_gap: float = 0.0,
        max_silence: float | None = None,
        settle: float = 0.5,
        embedding: Embedding = "current",
    ) -> None:
        for name, value in (("threshold", threshold), ("min_gap", min_gap), ("settle", settle)):
            if value is not None and not 0 <= value < math.inf:
                raise RecipeError(f"policy 'online': {name} is {value:g}; expected a number of at least 0")
        if max_silence is not None and not max_silence > min_gap:
            raise RecipeError(f"max_silence ({max_silence:g} s) must be longer than min_gap ({min_gap:g} s)")
        self.trigger = NoveltyTrigger() if trigger is None else trigger
        self.threshold = threshold
        self.min_gap = min_gap
        self.max_silence = max_silence
        self.settle = settle
        self.embedding = embedding

    @property
    def label(self) -> str:
        """``online``, the trigger, and what differs from the defaults."""
        name = type(self.trigger).__name__.removesuffix("Trigger")
        words = ["online", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()]
        if self.threshold is not None:
            words.append(f"threshold {self.threshold:g}")
        if self.settle != 0.5:
            words.append(f"settle {self.settle:g} s")
        if self.min_gap:
            words.append(f"gap {self.min_gap:g} s")
        if self.max_silence is not None:
            words.append(f"silence {self.max_silence:g} s")
        if self.embedding != "current":
            words.append(self.embedding.replace("_", " "))
        return ", ".join(words)

    def start(self, *, rate: float | None, window: float, stride: float) -> TriggeredFollower:
        """Begin a stream.

        Raises:
            RecipeError: Neither a rate nor a threshold is given, or the rate is not above 0.
        """
        settle, threshold = self.settle, self._threshold(rate, stride)
        if isinstance(threshold, RateController) and rate:
            settle = min(settle, 0.25 / rate)
        return TriggeredFollower(self, threshold=threshold, settle=settle, window=window, stride=stride)

    def _threshold(self, rate: float | None, stride: float) -> Threshold:
        if self.threshold is not None:
            return FixedThreshold(self.threshold)
        if rate is None or rate <= 0:
            raise RecipeError(
                f"policy 'online' needs a rate above 0 Hz, or a threshold; found rate {rate} and no threshold"
            )
        return RateController(rate=rate, stride=stride)

    def decide(self, stream: EmbeddingStream, rate: float) -> list[Decode]:
        """Follow the whole stream as if it were live.

        Raises:
            UserError: An embedding is not finite.
        """
        require_finite(stream)
        return super().decide(stream, rate)


@dataclass
class _Peak:
    """A window that is about to be decoded."""

    since: float
    time: float
    score: float
    embedding: NDArray[np.float32]


class TriggeredFollower(Follower):
    """What the policy keeps of a stream: the trigger's state, the threshold's, and a few embeddings."""

    def __init__(
        self, policy: TriggeredPolicy, *, threshold: Threshold, settle: float, window: float, stride: float
    ) -> None:
        self.policy = policy
        self.trigger = copy.deepcopy(policy.trigger)
        self.trigger.reset()
        self.threshold = threshold
        self.settle = settle
        self.window = window
        self.stride = stride
        self._score = 0.0
        self._now = 0.0
        self._peak: _Peak | None = None
        self._last: float | None = None  # second of the last decision, or of the beginning
        self._decoded = False
        self._sum: NDArray[np.float32] | None = None  # [E], of the embeddings to be averaged

    def push(self, time: float, embedding: NDArray[np.float32]) -> Decode | None:
        """Take the next window, and decide.

        Raises:
            UserError: The embedding is not finite.
        """
        require_finite_window(time, embedding)
        self._now = time + self.window / 2
        if self._last is None:
            self._last = max(0.0, time - self.window / 2)
        self._score = self.trigger.step(embedding)
        exceeded = self.threshold.exceeded(self._score)
        self._sum = embedding.copy() if self._sum is None else self._sum + embedding
        silent = self._now - self._last
        if self._peak is None and exceeded and (not self._decoded or silent >= self.policy.min_gap - 1e-9):
            self._peak = _Peak(time, time, self._score, embedding)
            if self.policy.embedding == "since_change":
                self._sum = embedding.copy()
        elif self._peak is not None and self._score > self._peak.score:
            self._peak.time, self._peak.score, self._peak.embedding = time, self._score, embedding
        if self._peak is not None and self._settled(time):
            return self._decode(self._peak)
        limit = self.policy.max_silence
        if limit is not None and silent >= limit - 1e-9:
            return self._decode(self._peak or _Peak(time, time, self._score, embedding))
        return None

    def _settled(self, time: float) -> bool:
        """Whether the score falls again, or the next window would come too late."""
        assert self._peak is not None
        return time > self._peak.time or time - self._peak.since + self.stride > self.settle + 1e-9

    def _decode(self, peak: _Peak) -> Decode:
        assert self._last is not None
        decoded = peak.embedding
        if self.policy.embedding != "current" and self._sum is not None:
            decoded = unit_mean(self._sum[None])
        start, self._last = self._last, self._now
        self._peak, self._sum, self._decoded = None, None, True
        self.trigger.decoded(decoded)
        self.threshold.decoded()
        return Decode(at=peak.time, decided=self._now, start=start, end=self._now, embedding=decoded)

    def finish(self) -> Decode | None:
        """Decode the window that was waited for, if there is one."""
        return None if self._peak is None else self._decode(self._peak)

    def status(self) -> dict[str, Any]:
        """Return the score of the last window, and the threshold it was compared with."""
        return {"score": self._score, "threshold": self.threshold.value}
