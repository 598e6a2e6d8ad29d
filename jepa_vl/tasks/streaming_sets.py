"""Annotated streams as a manifest has them: which samples are windows and annotations of one video."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jepa_vl.data.windows import STREAM
from jepa_vl.errors import ManifestError
from jepa_vl.sample import WINDOW, Sample
from jepa_vl.streaming.base import EmbeddingStream

_MILLISECOND = 1e-3


@dataclass(frozen=True)
class AnnotatedStream:
    """One video: its n windows and its k annotations, each in order of time.

    Attributes:
        media: The video.
        windows: Position of each window in the sample set ``[n]``.
        times: Their centres, in seconds ``[n]``.
        window: Seconds of a window.
        stride: Seconds from one window to the next.
        duration: Seconds until the last window ends.
        annotated: Position of each annotation's sample ``[k]``; a sample of several timestamps stands there
            several times.
        seconds: When each annotation is ``[k]``.
        texts: What each says ``[k]``.
    """

    media: str
    windows: list[int]
    times: NDArray[np.float64]
    window: float
    stride: float
    duration: float
    annotated: list[int]
    seconds: list[float]
    texts: list[str]

    @property
    def parts(self) -> set[int]:
        """Position of every sample that belongs to it."""
        return {*self.windows, *self.annotated}

    def stream(self, embeddings: NDArray[np.float32]) -> EmbeddingStream:
        """Return the stream of the windows' embeddings ``[n, E]``, with the annotations as its events."""
        return EmbeddingStream(
            times=self.times,
            embeddings=embeddings,
            window=self.window,
            stride=self.stride,
            duration=self.duration,
            name=self.media,
            events=tuple(self.seconds),
        )

    def blind(self) -> EmbeddingStream:
        """Return the stream for policies that look at no embedding: all of them are one."""
        return self.stream(np.ones((len(self.windows), 1), dtype=np.float32))

    def window_at(self, second: float) -> int:
        """Return the position of the window whose centre is nearest."""
        return self.windows[int(np.abs(self.times - second).argmin())]


def annotated_streams(samples: Sequence[Sample], name: str) -> list[AnnotatedStream]:
    """Return the streams of a sample set, in the order in which their first annotation stands.

    Args:
        samples: Of all kinds; those that are neither windows nor annotations are passed over.
        name: Of the set, for messages.

    Raises:
        ManifestError: An annotation has no timestamps or lies behind its stream, a stream has no windows, or
            windows of several lengths.
    """
    annotated: dict[str, list[tuple[float, int]]] = defaultdict(list)
    windows: dict[str, list[int]] = defaultdict(list)
    for i, sample in enumerate(samples):
        if sample.kind == STREAM:
            if not sample.timestamps:
                raise ManifestError(f"sample '{sample.id}': a {STREAM} needs 'timestamps', in seconds")
            annotated[sample.media] += [(second, i) for second in sample.timestamps]
        elif sample.kind == WINDOW:
            windows[sample.media].append(i)
    return [_stream(samples, media, windows[media], pairs, name) for media, pairs in annotated.items()]


def _stream(
    samples: Sequence[Sample], media: str, windows: list[int], pairs: list[tuple[float, int]], name: str
) -> AnnotatedStream:
    first = samples[pairs[0][1]]
    if not windows:
        raise ManifestError(
            f"sample '{first.id}': '{media}' has no sample of the kind '{WINDOW}' in the set '{name}', and "
            "nothing to decode; jepa_vl.data.windows.with_windows adds them"
        )
    spans = {i: (samples[i].start or 0.0, samples[i].end) for i in windows}
    endless = next((samples[i] for i, (_, end) in spans.items() if end is None), None)
    if endless is not None:
        raise ManifestError(f"sample '{endless.id}': a {WINDOW} needs 'end', in seconds")
    order = sorted(windows, key=spans.__getitem__)
    bounds = np.array([spans[i] for i in order], dtype=np.float64)  # [n, 2]
    lengths = bounds[:, 1] - bounds[:, 0]
    if lengths.max() - lengths.min() > 2 * _MILLISECOND:
        raise ManifestError(
            f"'{media}' has windows from {lengths.min():g} to {lengths.max():g} s in the set '{name}'; the "
            "windows of a stream have one length"
        )
    starts = bounds[:, 0]
    if len(starts) > 1 and np.diff(starts).min() < _MILLISECOND / 2:
        twice = order[int(np.diff(starts).argmin())]
        raise ManifestError(f"sample '{samples[twice].id}': '{media}' has two windows that begin at one time")
    duration = float(bounds[:, 1].max())
    pairs = sorted(pairs)
    late = next((pair for pair in pairs if pair[0] > duration + lengths[0]), None)
    if late is not None:
        raise ManifestError(
            f"sample '{samples[late[1]].id}': its timestamp {late[0]:g} s lies behind the last window of "
            f"'{media}', which ends at {duration:g} s"
        )
    return AnnotatedStream(
        media=media,
        windows=order,
        times=bounds.mean(axis=1),
        window=float(lengths[0]),
        stride=float(np.median(np.diff(starts))) if len(starts) > 1 else float(lengths[0]),
        duration=duration,
        annotated=[i for _, i in pairs],
        seconds=[second for second, _ in pairs],
        texts=[samples[i].target for _, i in pairs],
    )
