"""Where a stream comes from: a file, a URL, a camera or an iterator, frame by frame with its time."""

from __future__ import annotations

import logging
import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from jepa_vl.data.records import is_url, missing_file
from jepa_vl.errors import RecipeError, UserError
from jepa_vl.streaming.live.clock import Clock
from jepa_vl.use.source import read_frames
from jepa_vl.vision.base import Preprocessing

log = logging.getLogger(__name__)

CAMERA = "camera:"


@dataclass(frozen=True)
class Picture:
    """A frame of a source, not resized yet: most frames of a video are never looked at.

    Attributes:
        time: Second from which it is on show.
        duration: Seconds that it is on show, as far as is known; 0 where not.
        fit: Resizes it: uint8 ``[C, H, W]``.
    """

    time: float
    duration: float
    fit: Callable[[Preprocessing], Tensor]


class Source(ABC):
    """Frames with increasing times, read as they are wanted; nothing of the past is kept.

    Attributes:
        name: For messages.
        live: Whether frames come as time goes by, so that who is too slow must skip some.
        blocking: Whether waiting for a frame may take for ever.
        length: Seconds, where known.
        notes: What was odd about it, one sentence each.
    """

    name: str
    live: bool = False
    blocking: bool = False
    length: float | None = None

    def __init__(self) -> None:
        self.notes: list[str] = []

    @abstractmethod
    def __iter__(self) -> Iterator[Picture]:
        """Yield the frames in order of their times; once."""

    def note(self, text: str) -> None:
        """Keep a warning, and show it."""
        self.notes.append(text)
        log.warning("%s: %s", self.name, text)

    def note_clock(self, clock: Clock) -> None:
        """Note what a clock has mended."""
        if clock.late:
            self.note(f"frames that came after a later one were passed over: {clock.late}")
        if clock.jumped:
            more = f", {len(clock.jumped)} times in all" if len(clock.jumped) > 1 else ""
            self.note(
                f"the time stamps jumped back at {clock.jumped[0]:.2f} s{more}; time went on from there"
            )


class Frames(Source):
    """What a Python iterator of (seconds, frame) yields.

    Args:
        frames: A frame is an image, or an array or tensor ``[H, W, 3]`` or ``[3, H, W]``.
        live: Whether they come as time goes by, as from a camera of one's own.
    """

    name = "frames"

    def __init__(self, frames: Iterable[tuple[float, Any]], *, live: bool = False) -> None:
        super().__init__()
        self._frames = frames
        self.live = self.blocking = live

    def __iter__(self) -> Iterator[Picture]:
        """Yield them with times that grow.

        Raises:
            UserError: Something is no pair of seconds and a frame.
        """
        clock = Clock()
        for entry in self._frames:
            if not isinstance(entry, tuple) or len(entry) != 2 or not isinstance(entry[0], int | float):
                raise UserError(
                    f"a stream of frames yields pairs (seconds, frame), found a {type(entry).__name__}"
                )
            time = clock(float(entry[0]))
            if time is not None:
                yield Picture(time, 0.0, _fits(entry[1]))
        self.note_clock(clock)


def open_source(
    source: str | Path | Iterable[tuple[float, Any]] | Source, *, live: bool = False, timeout: float = 10.0
) -> Source:
    """Open what a stream comes from.

    Args:
        source: A path, a URL as FFmpeg knows them, ``camera:0``, or an iterator of (seconds, frame).
        live: Whether an iterator's frames come as time goes by.
        timeout: Seconds after which a URL or a camera that gives nothing has stalled.

    Raises:
        UserError: There is no such file or camera, or there is no video in it.
        RecipeError: The timeout is no time.
    """
    if not 0 < timeout < math.inf:
        raise RecipeError(f"timeout {timeout:g} s: expected more than 0, and an end")
    if isinstance(source, Source):
        return source
    if not isinstance(source, str | Path):
        return Frames(source, live=live)
    from jepa_vl.streaming.live.container import Container

    place = str(source)
    if place.startswith(CAMERA):
        device, kind = _camera(place)
        return Container(device, name=place, kind=kind, live=True, blocking=True, timeout=timeout)
    if is_url(place):
        return Container(place, name=place, live=None, blocking=True, timeout=timeout)
    file = Path(place).expanduser()
    if not file.exists():
        raise UserError(f"cannot read '{place}': {missing_file(file)}")
    if file.is_dir():
        raise UserError(f"cannot read '{place}': it is a folder; a stream is a video, a URL or camera:0")
    return Container(str(file), name=place, live=False, blocking=not file.is_file(), timeout=timeout)


def _camera(place: str) -> tuple[str, str]:
    """Return the device of ``camera:0`` and FFmpeg's name of its kind.

    Raises:
        UserError: There is no such camera.
    """
    wanted = place.removeprefix(CAMERA)
    if sys.platform == "darwin":
        return wanted, "avfoundation"
    if sys.platform == "win32":
        return f"video={wanted}", "dshow"
    device = Path(f"/dev/video{wanted}" if wanted.isdecimal() else wanted)
    if not device.exists():
        there = sorted(f"{CAMERA}{f.name.removeprefix('video')}" for f in Path("/dev").glob("video[0-9]*"))
        found = "there are " + ", ".join(there) if there else "no camera is connected"
        raise UserError(f"there is no camera '{place}' ({device}); {found}")
    return str(device), "v4l2"


def _fits(frame: Any) -> Callable[[Preprocessing], Tensor]:
    return lambda preprocessing: read_frames(frame, preprocessing)[0]
