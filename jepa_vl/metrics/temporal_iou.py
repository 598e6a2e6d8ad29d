"""How much stretches of time overlap."""

from __future__ import annotations

from torch import Tensor


def temporal_iou(spans: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of every pair of stretches.

    Args:
        spans: Start and end of N stretches, ``[N, 2]``, in seconds.
        others: Start and end of M stretches, ``[M, 2]``.

    Returns:
        ``[N, M]``, from 0 (apart) to 1 (equal).

    Raises:
        ValueError: A stretch does not end after its start.
    """
    for name, each in (("spans", spans), ("others", others)):
        if (each[:, 1] <= each[:, 0]).any():
            raise ValueError(f"{name}: a stretch must end after its start")
    start, end = spans[:, None].unbind(-1)  # [N, 1] each
    left, right = others[None].unbind(-1)  # [1, M] each
    shared = (end.minimum(right) - start.maximum(left)).clamp(min=0)  # [N, M]
    return shared / ((end - start) + (right - left) - shared)
