"""The curve of a stream's scores: thinned so that an hour is as light as a minute, and as an SVG path."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

POINTS = 2000


def thinned(scores: NDArray[np.float64], most: int = POINTS) -> NDArray[np.int64]:
    """Return which points to draw, at most ``most``: of each of even stretches the least and the greatest.

    So no peak is lost, which a mean would flatten and every k-th point would miss.

    Args:
        scores: ``[n]``; NaN where there is none.
        most: Two or more.
    """
    n = len(scores)
    if n <= most:
        return np.arange(n)
    edges = np.linspace(0, n, most // 2 + 1).astype(np.int64)
    kept: set[int] = set()
    for start, stop in pairwise(edges):
        part = scores[start:stop]
        kept.add(int(start + np.argmin(np.where(np.isnan(part), np.inf, part))))
        kept.add(int(start + np.argmax(np.where(np.isnan(part), -np.inf, part))))
    return np.array(sorted(kept), dtype=np.int64)


def top(scores: NDArray[np.float64], thresholds: NDArray[np.float64]) -> float:
    """Return where the axis ends: above all scores, and the thresholds unless they are far above."""
    known, held = scores[np.isfinite(scores)], thresholds[np.isfinite(thresholds)]
    highest = float(known.max()) if len(known) else 0.0
    if len(held):
        highest = max(highest, min(float(held.max()), 1.5 * highest) if len(known) else float(held.max()))
    return 1.08 * highest if highest > 0 else 1.0


def line(x: Sequence[float], y: Sequence[float | None], *, height: float) -> str:
    """Return the ``d`` of an SVG path, in a box of 1000 by 100 with 0 at its bottom.

    Args:
        x: Shares of the width, 0 to 1.
        y: Values; the line is broken where there is none.
        height: The value at the top of the box; what is above is cut off.
    """
    parts = []
    pen = "M"
    for share, value in zip(x, y, strict=True):
        if value is None:
            pen = "M"
            continue
        parts.append(f"{pen}{1000 * share:.2f} {100 * (1 - min(max(value / height, 0), 1)):.2f}")
        pen = "L"
    return "".join(parts)


def numbers(values: NDArray[np.float64]) -> list[float | None]:
    """Return what JSON can hold: None for NaN and what is infinite."""
    return [round(float(value), 5) if math.isfinite(value) else None for value in values]
