"""What streaming is about: a stream of embeddings, the decision to decode, and the policies that decide."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class EmbeddingStream:
    """The embeddings of a video's sliding windows, in order.

    Attributes:
        times: Seconds ``[n]``, the centre of each window; increasing.
        embeddings: float32 ``[n, E]``, unit vectors.
        window: Seconds of a window. The embedding of a window is there when the window has ended, half of
            it after its centre.
        stride: Seconds from one window to the next.
        duration: Second at which the video ends.
        name: The video, for messages and tables.
        events: Seconds at which something is annotated; only an oracle looks at them.
    """

    times: NDArray[np.float64]
    embeddings: NDArray[np.float32]
    window: float
    stride: float
    duration: float
    name: str = ""
    events: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.times)

    @property
    def begun(self) -> float:
        """Second at which it begins: not 0 where a live stream was joined late."""
        return max(0.0, float(self.times[0]) - self.window / 2) if len(self) else 0.0

    def number(self, rate: float) -> int:
        """Return how many decodes ``rate`` Hz means here: at least one, at most one a window."""
        return max(1, min(len(self), round(rate * (self.duration - self.begun))))


@dataclass(frozen=True)
class Decode:
    """A decision to decode.

    Attributes:
        at: Second that the text is about: the centre of a window, or where a segment is read.
        decided: Second at which the decision is made; the last embedding it rests on is there by then.
        start: Where the stretch that the text stands for begins, in seconds.
        end: Where it ends.
        embedding: float32 ``[E]``, a unit vector: what is decoded.
    """

    at: float
    decided: float
    start: float
    end: float
    embedding: NDArray[np.float32]


class Policy(ABC):
    """Decides when a stream is decoded, and from which embedding, at a wanted rate.

    Attributes:
        causal: Whether a decision rests on what has been seen until then alone.
    """

    causal: ClassVar[bool]

    @property
    @abstractmethod
    def label(self) -> str:
        """A short name for tables, which tells its settings apart: ``selective, pooled``."""

    @abstractmethod
    def decide(self, stream: EmbeddingStream, rate: float) -> list[Decode]:
        """Return the decodes of a whole stream, in order of ``at``.

        Args:
            stream: n embeddings.
            rate: Decodes a second that are wanted. Policies that do not see the end can miss it; what was
                reached is counted.
        """


class OnlinePolicy(Policy):
    """A policy that can follow a live stream, in constant time and memory a window."""

    causal = True

    @abstractmethod
    def start(self, *, rate: float | None, window: float, stride: float) -> Follower:
        """Begin a stream.

        Args:
            rate: Decodes a second to hold on average; None where the policy's own threshold decides.
            window: Seconds of a window.
            stride: Seconds from one window to the next.
        """

    def decide(self, stream: EmbeddingStream, rate: float) -> list[Decode]:
        """Follow the whole stream as if it were live."""
        follower = self.start(rate=rate, window=stream.window, stride=stream.stride)
        found = [
            follower.push(float(time), embedding)
            for time, embedding in zip(stream.times, stream.embeddings, strict=True)
        ]
        return [decode for decode in [*found, follower.finish()] if decode is not None]


class Follower(ABC):
    """What an online policy keeps of one stream."""

    @abstractmethod
    def push(self, time: float, embedding: NDArray[np.float32]) -> Decode | None:
        """Take the next window, ``time`` its centre, and decide."""

    def finish(self) -> Decode | None:
        """Take the end of the stream; a last decode, if one is due."""
        return None

    def status(self) -> dict[str, Any]:
        """Return numbers to watch (score, threshold), for curves and reports."""
        return {}
