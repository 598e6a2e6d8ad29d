"""What a run over a stream counts and times."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

PHASES = ("reading", "encoder", "predictor", "policy", "decoder")


@dataclass
class Tally:
    """Counts of a run, up to now.

    Attributes:
        device: On which the model computes; a phase on it has ended when it has.
        windows: Windows that were embedded, or looked at by a model that has no embeddings.
        decodes: Texts that were said.
        gaps: Windows in which no frame begins, which are passed over.
        behind: Windows of a live stream that were skipped to catch up.
        seconds: Seconds of stream, from its first frame on.
        wall: Seconds that it took; those in which the caller did something else do not count.
        waited: Of ``wall``, seconds in which a live stream had nothing new.
        phases: Of ``wall``, seconds of each of `PHASES`.
        notes: What was odd about the source.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    windows: int = 0
    decodes: int = 0
    gaps: int = 0
    behind: int = 0
    seconds: float = 0.0
    wall: float = 0.0
    waited: float = 0.0
    phases: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Count the time of what is done inside."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            self.phases[phase] += time.perf_counter() - begun

    @property
    def factor(self) -> float:
        """Seconds of computing for a second of stream: below 1 it keeps up with real time."""
        return (self.wall - self.waited) / self.seconds if self.seconds else 0.0

    @property
    def rate(self) -> float:
        """Decodes a second of stream."""
        return self.decodes / self.seconds if self.seconds else 0.0

    def shares(self) -> dict[str, float]:
        """Return the share of each phase in the time of all."""
        total = sum(self.phases.values()) or 1.0
        return {phase: seconds / total for phase, seconds in self.phases.items()}
