"""Frames with times → windows of T frames each, in order, holding no more than the open windows' frames."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from torch import Tensor

from jepa_vl.errors import RecipeError
from jepa_vl.streaming.live.source import Picture
from jepa_vl.vision.base import Preprocessing

EPS = 1e-6  # seconds; times are sums of floats
SHORTEST = 1e-3  # seconds from one window to the next, as in a manifest


@dataclass(frozen=True)
class Frame:
    """A frame at the encoder's size.

    Attributes:
        number: Its place among the source's frames; windows that share a frame share the number.
        image: uint8 ``[C, H, W]``.
    """

    number: int
    image: Tensor


@dataclass(frozen=True)
class Window:
    """A stretch of a stream and the T frames that are read of it."""

    start: float
    end: float
    frames: tuple[Frame, ...]

    @property
    def centre(self) -> float:
        """The second in its middle."""
        return (self.start + self.end) / 2


@dataclass
class _Shown:
    """A picture, resized when first wanted."""

    number: int
    picture: Picture
    _frame: Frame | None = None

    def frame(self, preprocessing: Preprocessing) -> Frame:
        if self._frame is None:
            self._frame = Frame(self.number, self.picture.fit(preprocessing))
        return self._frame


@dataclass
class _Open:
    start: float
    frames: list[Frame] = field(default_factory=list)


class Windows:
    """Windows of one length, one every stride.

    A window is cut in T equal intervals, and the frame on show at the centre of each is taken, as
    `read_clip` does. The last window may be shorter: it ends with the stream, so that every frame is in one;
    what is missing of it is its last frame.

    Args:
        pictures: Of a source.
        preprocessing: T, and the size.
        window: Seconds of a window.
        stride: Seconds from one window to the next, not more than a window.

    Attributes:
        gaps: Windows in which no frame begins; there are none of these among those yielded.
        begun: Second of the first frame.
        reached: Second up to which there are frames.
    """

    def __init__(
        self, pictures: Iterable[Picture], preprocessing: Preprocessing, *, window: float, stride: float
    ) -> None:
        self.gaps = 0
        self.begun = self.reached = 0.0
        self._pictures = pictures
        self._preprocessing = preprocessing
        self._window, self._stride = window, stride
        self._next = 0  # number of the window that is opened next
        self._open: deque[_Open] = deque()

    def __iter__(self) -> Iterator[Window]:
        """Yield the windows as soon as their frames are known."""
        shown: _Shown | None = None
        covered = -math.inf
        length = 0.0  # of the last picture
        for number, picture in enumerate(self._pictures):
            fresh = _Shown(number, picture)
            if shown is None:
                self._next = math.floor(picture.time / self._stride + EPS)
                self.begun = picture.time
            else:
                length = picture.time - shown.picture.time
                for window in self._open:
                    self._fill(window, shown, picture.time)
            self._open_until(shown, fresh)
            self.reached = picture.time + picture.duration
            shown = fresh
            while self._open and len(self._open[0].frames) == self._preprocessing.num_frames:
                done = self._open.popleft()
                covered = done.start + self._window
                yield Window(done.start, covered, tuple(done.frames))
        if shown is None:
            return
        self.reached = shown.picture.time + (shown.picture.duration or length)
        if self._open and shown.picture.time > covered - EPS:
            last = self._open[0]
            self._fill(last, shown, math.inf)
            end = max(min(last.start + self._window, self.reached), last.start + EPS)
            yield Window(last.start, end, tuple(last.frames))

    def _open_until(self, shown: _Shown | None, fresh: _Shown) -> None:
        """Open the windows that begin before or with a fresh picture, and count those it leaves empty."""
        time = fresh.picture.time
        ended = math.floor((time - self._window) / self._stride + EPS)  # the last that ends before it
        if ended >= self._next:
            self.gaps += ended - self._next + 1
            self._next = ended + 1
        while self._next * self._stride <= time + EPS:
            window = _Open(self._next * self._stride)
            self._next += 1
            recent = shown is not None and shown.picture.time >= window.start - self._window
            self._fill(window, shown if shown is not None and recent else fresh, time)
            self._open.append(window)

    def _fill(self, window: _Open, shown: _Shown, until: float) -> None:
        """Take the picture for each interval whose centre comes before ``until``."""
        wanted = self._preprocessing.num_frames
        step = self._window / wanted
        while len(window.frames) < wanted and window.start + (len(window.frames) + 0.5) * step < until - EPS:
            window.frames.append(shown.frame(self._preprocessing))


def check_windows(window: float, stride: float) -> None:
    """Refuse windows that leave gaps, never end, or follow each other without end.

    Raises:
        RecipeError: They do.
    """
    if not SHORTEST <= stride <= window < math.inf:
        raise RecipeError(
            f"window {window:g} s, stride {stride:g} s: expected {SHORTEST:g} s <= stride <= window, or "
            "parts of the stream would be in no window"
        )
