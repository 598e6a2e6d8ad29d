"""`Trigger`: how much a live stream has changed, as one number a window."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from jepa_vl.errors import RecipeError

Vector = NDArray[np.float32]


class Trigger(ABC):
    """Scores windows as they come; the higher the score, the more there is to say.

    It sees no window before its time, and takes constant time and memory a window. Only the order of scores
    matters to a controller that holds a rate; a fixed threshold is in the score's own unit.
    """

    @abstractmethod
    def reset(self) -> None:
        """Forget everything: a new stream begins."""

    @abstractmethod
    def step(self, embedding: Vector) -> float:
        """Take the next window's embedding ``[E]``, a unit vector, and return a score of at least 0."""

    def decoded(self, embedding: Vector) -> None:
        """Take note that ``embedding`` has just been decoded."""
        return


class Smoothed:
    """The exponentially weighted mean of the embeddings so far.

    Args:
        weight: Of the newest embedding, in (0, 1]; 1 does not smooth.

    Raises:
        RecipeError: The weight is out of its range.
    """

    def __init__(self, weight: float) -> None:
        if not 0 < weight <= 1:
            raise RecipeError(f"smoothing is the newest embedding's weight, in (0, 1], got {weight:g}")
        self.weight = weight
        self.mean: Vector | None = None

    def step(self, embedding: Vector) -> Vector:
        """Take an embedding ``[E]`` and return the mean, of any norm."""
        if self.mean is None:
            self.mean = embedding.copy()
        else:
            self.mean += np.float32(self.weight) * (embedding - self.mean)
        return self.mean


def distance(a: Vector, b: Vector) -> float:
    """Return the cosine distance of two vectors of any norm, from 0 to 2; 0 where one has no direction."""
    norm = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    return max(0.0, 1.0 - float(a @ b) / norm) if norm > 1e-12 else 0.0
