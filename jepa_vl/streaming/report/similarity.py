"""How alike the moments of a stream are: the cosine of all pairs of windows, as a picture."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jepa_vl.streaming.base import EmbeddingStream

PIXELS = 400
NOTHING = 255  # colour index of a moment without a window, transparent
#: Nine colours of matplotlib's viridis (CC0), at even distances: even to the eye, also for the colour-blind.
VIRIDIS = ("440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725")


def extent(stream: EmbeddingStream) -> tuple[float, float]:
    """Return the seconds between which the picture lies: half a stride around the first and last window."""
    half = stream.stride / 2
    return float(stream.times[0]) - half, float(stream.times[-1]) + half


def similarity(stream: EmbeddingStream, most: int = PIXELS) -> NDArray[np.float64]:
    """Return the mean cosine of each pair of stretches ``[k, k]``; NaN where a stretch has no window.

    The stretches are even in time, one a window if there are no more than ``most``. The mean cosine
    of two stretches of unit vectors is the inner product of their means, so a long stream needs no
    matrix of all its windows.

    Args:
        stream: n windows, one or more.
        most: Stretches at most.
    """
    start, end = extent(stream)
    k = max(1, min(most, round((end - start) / stream.stride)))
    cells = np.clip((stream.times - start) / (end - start) * k, 0, k - 1).astype(np.int64)  # [n]
    means = np.zeros((k, stream.embeddings.shape[1]))
    np.add.at(means, cells, stream.embeddings)
    counts = np.bincount(cells, minlength=k)
    means /= np.maximum(counts, 1)[:, None]
    found: NDArray[np.float64] = means @ means.T  # [k, k]
    found[counts == 0] = np.nan
    found[:, counts == 0] = np.nan
    return found


def limits(matrix: NDArray[np.float64]) -> tuple[float, float]:
    """Return the cosines of the first and the last colour: nearly the whole range of the values."""
    low, high = np.nanpercentile(matrix, [0.5, 99.5])
    return (float(low), float(high)) if high - low > 1e-6 else (float(low) - 0.5, float(low) + 0.5)


def picture(matrix: NDArray[np.float64], low: float, high: float) -> bytes:
    """Return a PNG of the matrix ``[k, k]``, one pixel a cell, whose first row is at the top."""
    shares = np.clip((matrix - low) / (high - low), 0, 1)
    indices = np.where(np.isnan(matrix), NOTHING, np.nan_to_num(shares) * (NOTHING - 1))
    image = Image.fromarray(np.rint(indices).astype(np.uint8))
    image.putpalette(_palette().tobytes())
    content = io.BytesIO()
    image.save(content, "PNG", transparency=NOTHING, optimize=True)
    return content.getvalue()


def _palette() -> NDArray[np.uint8]:
    """Return 256 colours ``[256, 3]``; the last is never seen."""
    anchors = np.array([list(bytes.fromhex(colour)) for colour in VIRIDIS])  # [9, 3]
    places = np.linspace(0, len(anchors) - 1, NOTHING)
    colours = [np.interp(places, range(len(anchors)), channel) for channel in anchors.T]
    return np.vstack([np.rint(np.stack(colours, axis=1)), [0, 0, 0]]).astype(np.uint8)
