"""The paper's selective decoding: one decode for each segment of a Ward tree (section 4.6)."""

from __future__ import annotations

from jepa_vl.streaming.base import Decode, EmbeddingStream, Policy
from jepa_vl.streaming.policies.points import Point, edges, point_of, unit_mean
from jepa_vl.streaming.policies.segmentation import tree_of


class SelectivePolicy(Policy):
    """Cuts the stream where its meaning changes, and decodes each segment once.

    Segments are those of agglomerative clustering under Ward's distance, where only neighbours in time may
    merge; the rate gives their number. It looks at the whole video before it decides.

    Args:
        point: The window that is read: ``midpoint``, the nearest to the middle of the segment (the paper);
            ``medoid``, the most like the segment's mean; ``distinct``, the least like the stream's mean.
        pooled: Decode the mean direction of the segment, not the window that is read.
    """

    causal = False

    def __init__(self, *, point: Point = "midpoint", pooled: bool = False) -> None:
        self.point = point
        self.pooled = pooled

    @property
    def label(self) -> str:
        """``selective``, then what differs from the paper's plain setting."""
        words = ["selective"]
        if self.point != "midpoint":
            words.append(self.point)
        if self.pooled:
            words.append("pooled")
        return ", ".join(words)

    def decide(self, stream: EmbeddingStream, rate: float) -> list[Decode]:
        """Return one decode for each of ``stream.number(rate)`` segments.

        Raises:
            UserError: An embedding is not finite.
        """
        segments = tree_of(stream).segments(stream.number(rate))
        return [self._decode(stream, start, stop) for start, stop in segments]

    def _decode(self, stream: EmbeddingStream, start: int, stop: int) -> Decode:
        begin, end = edges(stream, start, stop)
        at = point_of(stream, start, stop, self.point)
        return Decode(
            at=float(stream.times[at]),
            decided=stream.duration,
            start=begin,
            end=end,
            embedding=unit_mean(stream.embeddings[start:stop]) if self.pooled else stream.embeddings[at],
        )
