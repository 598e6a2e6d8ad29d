"""Time stamps as a source gives them → seconds that only grow."""

from __future__ import annotations

LATE = 1.0  # seconds: a frame that is later than that has not come late, the stamps have jumped back


class Clock:
    """Counts the seconds of one source.

    Forward jumps are taken as they are: there is nothing to see in between. Where stamps jump back, as in
    files that were joined, time goes on from the last one.

    Args:
        interval: Seconds between frames, until two have been seen.

    Attributes:
        late: Frames that came after a later one, and are passed over.
        jumped: Seconds of the stream at which the stamps jumped back.
    """

    def __init__(self, interval: float = 0.04) -> None:
        self.late = 0
        self.jumped: list[float] = []
        self._interval = interval
        self._offset = 0.0
        self._last: float | None = None

    def __call__(self, stamp: float | None) -> float | None:
        """Return the second of a frame with this time stamp, if any; None if it comes too late."""
        if self._last is None:
            self._last = stamp if stamp is not None else 0.0
            return self._last
        time = self._last + self._interval if stamp is None else stamp + self._offset
        if time <= self._last:
            if self._last - time < LATE:
                self.late += 1
                return None
            self.jumped.append(self._last)
            self._offset += self._last + self._interval - time
            time = self._last + self._interval
        self._interval, self._last = time - self._last, time
        return time
