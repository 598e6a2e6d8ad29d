"""Synthetic streams of embeddings: short events of known directions on a slowly drifting background.

And a model that sees nothing but colours, with videos for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from jepa_vl.objectives.base import DECODE, EMBED, GENERATE, Collator, Objective
from jepa_vl.objectives.collate import Collate
from jepa_vl.sample import Batch, TextTokens
from jepa_vl.streaming.base import EmbeddingStream
from jepa_vl.use.model import Model
from jepa_vl.vision.base import Preprocessing, VisionEncoder

Truth = tuple[EmbeddingStream, NDArray[np.float64]]  # and the unit direction [M, E] of each event


def synthetic(
    *,
    seconds: float = 300.0,
    events: int = 20,
    length: tuple[float, float] = (1.0, 3.0),
    kinds: int = 12,
    width: int = 64,
    noise: float = 0.15,
    drift: float = 0.03,
    common: float = 0.5,
    window: float = 1.0,
    stride: float = 0.5,
    seed: int = 0,
) -> Truth:
    """Return a stream with ``events`` events at random times that do not overlap, and what each is.

    A window sees each event by the share of it that the event fills; the rest is background, a random walk
    on the sphere by ``drift`` a window. All embeddings share a direction with weight ``common``, as those
    of a real model do.
    """
    rng = np.random.default_rng(seed)
    directions = _unit(rng.normal(size=(kinds, width)))
    shared = _unit(rng.normal(size=width))
    lengths = rng.uniform(*length, size=events)
    free = np.sort(rng.uniform(0, seconds - lengths.sum(), size=events))
    starts = free + np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    what = rng.integers(kinds, size=events)
    times = np.arange(window / 2, seconds - window / 2 + 1e-9, stride)
    background = _unit(rng.normal(size=width))
    rows = []
    for time in times:
        background = _unit(background + drift * rng.normal(size=width) / np.sqrt(width) * 8)
        overlap = np.minimum(starts + lengths, time + window / 2) - np.maximum(starts, time - window / 2)
        share = np.clip(overlap, 0, None) / window  # [M]
        row = share @ directions[what] + max(0.0, 1 - share.sum()) * background
        rows.append(_unit(_unit(row) + common * shared + noise * _unit(rng.normal(size=width))))
    stream = EmbeddingStream(
        times=times,
        embeddings=np.array(rows, dtype=np.float32),
        window=window,
        stride=stride,
        duration=seconds,
        name=f"synthetic-{seed}",
        events=tuple(starts + lengths / 2),
    )
    return stream, _unit(directions[what] + common * shared)


def _unit(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.fixture(scope="session")
def make_stream() -> Callable[..., Truth]:
    return synthetic


COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "black": (0, 0, 0)}
Write = Callable[..., Path]


class MeanColours(VisionEncoder):
    """A token is the mean colour of a frame."""

    def __init__(self, *, per_frame: bool) -> None:
        super().__init__(frozen=True)
        self.dim, self.grid = 3, (4, 1, 1)
        self.preprocessing = Preprocessing(size=(8, 8), num_frames=4)
        self.per_frame = per_frame
        self.seen = 0

    def forward(self, video: Tensor) -> Tensor:
        self.seen += video.shape[0] * video.shape[1]
        return video.float().mean(dim=(3, 4)) / 255  # [B, T, 3]

    def fingerprint(self) -> str:
        return "mean-colours"


class SayColours(Objective):
    """Says the colour of a window; its embedding is that colour."""

    def __init__(self, *, per_frame: bool = True, embeds: bool = True) -> None:
        super().__init__()
        self.vision_encoder: MeanColours = MeanColours(per_frame=per_frame)
        self.abilities = frozenset({EMBED, GENERATE, DECODE} if embeds else {GENERATE})

    def collator(self) -> Collator:
        return Collate(query=_no_tokens, target=_no_tokens)

    def embed_video(self, batch: Batch) -> Tensor:
        return _with_brightness(self.visual_tokens(batch).mean(dim=1))

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        return _with_brightness(torch.tensor([COLOURS[text] for text in texts]).float() / 255)

    def decode(self, embeddings: Tensor, *, max_new_tokens: int | None = None) -> list[str]:
        nearest = (embeddings @ self.embed_text(list(COLOURS)).T).argmax(dim=1)
        return [list(COLOURS)[i] for i in nearest.tolist()]

    def generate(self, batch: Batch, *, max_new_tokens: int | None = None) -> list[str]:
        return self.decode(self.embed_video(batch))


def _with_brightness(colours: Tensor) -> Tensor:
    return F.normalize(torch.cat((colours, torch.full_like(colours[:, :1], 0.5)), dim=1), dim=1)


def _no_tokens(texts: Sequence[str]) -> TextTokens:
    return TextTokens(torch.zeros(len(texts), 0).long(), torch.zeros(len(texts), 0).bool())


@pytest.fixture
def colour_model() -> Callable[..., Model]:
    def make(**options: bool) -> Model:
        return Model(SayColours(**options), name="colours", device="cpu")

    return make


@pytest.fixture(scope="session")
def write_video() -> Write:
    """Write a video of (colour, frames) or of the frames ``[n, H, W, 3]``, lossless."""

    def write(
        path: Path,
        content: Sequence[tuple[str, int]] | NDArray[np.uint8],
        *,
        rate: int = 4,
        size: int = 32,
        stamps: Sequence[int] | None = None,
        options: dict[str, str] | None = None,
    ) -> Path:
        frames = content if isinstance(content, np.ndarray) else _coloured(content, size)
        with av.open(str(path), "w", options=options or {}) as container:
            stream = container.add_stream("libx264rgb", rate=rate, options={"crf": "0", "g": "8"})
            stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "rgb24"
            for i, array in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(array, format="rgb24")
                frame.pts = i if stamps is None else stamps[i]
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return write


@pytest.fixture(scope="session")
def coloured() -> Callable[..., Iterator[tuple[float, NDArray[np.uint8]]]]:
    """Pairs (seconds, frame) of (colour, frames)."""

    def frames(
        content: Sequence[tuple[str, int]], *, rate: float = 4
    ) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        for i, frame in enumerate(_coloured(content, 8)):
            yield i / rate, frame

    return frames


def _coloured(content: Sequence[tuple[str, int]], size: int) -> NDArray[np.uint8]:
    shown = [COLOURS[colour] for colour, count in content for _ in range(count)]
    return np.array(shown, dtype=np.uint8)[:, None, None].repeat(size, 1).repeat(size, 2)  # [n, H, W, 3]
