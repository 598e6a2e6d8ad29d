"""What is kept of a stream where a report or a decision over the whole of it is wanted."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jepa_vl.streaming.base import EmbeddingStream
from jepa_vl.streaming.live.windows import Window

MOST = 200
HEIGHT = 96  # pixels


class Thumbnails:
    """Small pictures at even distances, at most `MOST`: where there are more, every other one goes."""

    def __init__(self) -> None:
        self.pictures: list[tuple[float, bytes]] = []
        self._seen = 0
        self._every = 1

    def add(self, window: Window) -> None:
        """Take the middle frame of a window, if its turn has come."""
        if self._seen % self._every == 0:
            if len(self.pictures) == MOST:
                self.pictures = self.pictures[::2]
                self._every *= 2
            if self._seen % self._every == 0:
                self.pictures.append((window.centre, _jpeg(window)))
        self._seen += 1


class Recording:
    """Embeddings, scores, thresholds and thumbnails of the windows of a stream: E + 3 numbers a window.

    Where the policy has no score it is NaN, and where it has no threshold (yet) that is infinite.
    """

    def __init__(self) -> None:
        self.times: list[float] = []
        self.embeddings: list[NDArray[np.float32]] = []
        self.scores: list[float] = []
        self.thresholds: list[float] = []
        self.thumbnails = Thumbnails()

    def add(self, window: Window, embedding: NDArray[np.float32], status: dict[str, Any]) -> None:
        """Take a window, its embedding ``[E]``, and what the policy said of it."""
        self.times.append(window.centre)
        self.embeddings.append(embedding)
        self.scores.append(float(status.get("score", math.nan)))
        self.thresholds.append(float(status.get("threshold", math.inf)))
        self.thumbnails.add(window)

    def stream(self, *, window: float, stride: float, duration: float, name: str) -> EmbeddingStream:
        """Return the embeddings as a stream."""
        width = len(self.embeddings[0]) if self.embeddings else 0
        rows = np.stack(self.embeddings) if self.embeddings else np.zeros((0, width), dtype=np.float32)
        return EmbeddingStream(
            times=np.array(self.times, dtype=np.float64),
            embeddings=rows.astype(np.float32, copy=False),
            window=window,
            stride=stride,
            duration=duration,
            name=name,
        )


def _jpeg(window: Window) -> bytes:
    frame = window.frames[len(window.frames) // 2].image.permute(1, 2, 0).numpy()  # [H, W, C]
    image = Image.fromarray(np.ascontiguousarray(frame))
    width = max(1, round(image.width * HEIGHT / image.height))
    content = io.BytesIO()
    image.resize((width, HEIGHT)).save(content, "JPEG", quality=85)
    return content.getvalue()
