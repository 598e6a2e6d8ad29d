"""Embeddings that are not numbers are refused where they are met, by the stream's name and the second."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jepa_vl.errors import UserError
from jepa_vl.streaming.base import EmbeddingStream


def require_finite(stream: EmbeddingStream) -> None:
    """Raise `UserError` where a stream is empty or an embedding holds NaN or infinity."""
    if not len(stream):
        raise UserError(f"stream '{stream.name}' has no window: it is shorter than {stream.window:g} s")
    bad = np.flatnonzero(~np.isfinite(stream.embeddings).all(axis=1))
    if len(bad):
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise UserError(
            f"stream '{stream.name}': the embedding of the window at {stream.times[bad[0]]:.2f} s{more} "
            "holds NaN or infinity; was the model trained to the end, and in which precision is it run?"
        )


def require_finite_window(time: float, embedding: NDArray[np.float32]) -> None:
    """Raise `UserError` where the embedding of a live window holds NaN or infinity."""
    if not np.isfinite(embedding).all():
        raise UserError(
            f"the embedding of the window at {time:.2f} s holds NaN or infinity; was the model trained to "
            "the end, and in which precision is it run?"
        )
