"""Reading a video as it comes, through FFmpeg: a file, a URL or a camera."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from torch import Tensor

from jepa_vl.data.video import CUT_OFF_SECONDS, DECODING_ERRORS, announced_length, fit_frame, upright
from jepa_vl.errors import UserError
from jepa_vl.streaming.live.background import Background
from jepa_vl.streaming.live.clock import Clock
from jepa_vl.streaming.live.source import Picture, Source
from jepa_vl.vision.base import Preprocessing


class Container(Source):
    """Frames of the first video track, decoded one at a time.

    What can be read counts: a part that is damaged is passed over and noted, and so is an early end. The
    size and the rate of the frames may change on the way.

    Args:
        place: What FFmpeg opens.
        name: For messages.
        kind: FFmpeg's name of the format; found out where omitted.
        live: Whether frames come as time goes by; None for whatever does not say how long it is.
        blocking: Whether waiting for a frame may take for ever.
        timeout: Seconds after which it has stalled.

    Raises:
        UserError: It cannot be opened, gives nothing for as long as the timeout, or has no video in it.
    """

    def __init__(
        self,
        place: str,
        *,
        name: str,
        live: bool | None,
        blocking: bool,
        timeout: float,
        kind: str | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.timeout = timeout
        try:
            self._container = (
                _answering(place, kind, timeout, name) if blocking else av.open(place, format=kind)
            )
        except DECODING_ERRORS as error:
            raise UserError(f"cannot read '{name}': {self._reason(error)}") from error
        if not self._container.streams.video:
            self._container.close()
            raise UserError(f"cannot read '{name}': there is no video track in it")
        self._stream: VideoStream = self._container.streams.video[0]
        self.length = announced_length(self._container, self._stream)
        self.live = self.length is None and blocking if live is None else live
        self.blocking = blocking

    def __iter__(self) -> Iterator[Picture]:
        """Yield the frames.

        Raises:
            UserError: It stalls, or no frame can be decoded.
        """
        rate = self._stream.average_rate
        clock = Clock(1 / float(rate) if rate else 0.04)
        zero: int | None = None if self.live else self._stream.start_time
        end: float | None = None
        try:
            for frame in self._frames():
                base = float(frame.time_base or 0)
                stamp = frame.pts
                if zero is None:
                    zero = stamp
                time = clock(None if stamp is None or zero is None else (stamp - zero) * base)
                if time is not None:
                    duration = (frame.duration or 0) * base
                    end = time + duration
                    yield Picture(time, duration, _fits(frame))
        finally:
            self._container.close()
        if end is None:
            raise UserError(f"cannot read '{self.name}': no frame of it can be decoded")
        self.note_clock(clock)
        cut_off = self.length is not None and end < self.length - CUT_OFF_SECONDS
        if cut_off and not self.notes:
            self.note(f"it ends at {end:.1f} s, {self.length:.1f} s were announced; what was there counts")

    def _frames(self) -> Iterator[VideoFrame]:
        """Decode packet by packet, so that a damaged one costs no more than its frames."""
        damaged = 0
        try:
            for packet in self._container.demux(self._stream):
                try:
                    decoded = packet.decode()
                except av.error.InvalidDataError:
                    damaged += 1
                    continue
                yield from decoded
        except DECODING_ERRORS as error:
            if isinstance(error, av.error.ExitError | TimeoutError):
                raise UserError(f"'{self.name}' stalled: {self._reason(error)}") from error
            self.note(f"it cannot be read to its end ({self._reason(error)}); what came before counts")
        if damaged:
            self.note(f"damaged packets were passed over: {damaged}")

    def _reason(self, error: Exception) -> str:
        if isinstance(error, av.error.ExitError | TimeoutError):
            return f"nothing came for {self.timeout:g} s"
        if isinstance(error, av.error.InvalidDataError):
            return "corrupt or of an unknown format"
        return str(getattr(error, "strerror", None) or error)


def _answering(place: str, kind: str | None, timeout: float, name: str) -> InputContainer:
    """Open what may never answer. FFmpeg's own timeout knows networks, but no pipe that nobody writes to.

    Raises:
        UserError: It does not.
    """

    def opening() -> Iterator[InputContainer]:
        yield av.open(place, format=kind, timeout=timeout)

    # FFmpeg's message, where it has one, says more
    waiting = Background(opening(), capacity=1, drop=False, timeout=timeout + 0.5, name=name)
    return next(waiting.batches(1))[0]


def _fits(frame: Any) -> Callable[[Preprocessing], Tensor]:
    return lambda preprocessing: fit_frame(upright(frame), preprocessing)
