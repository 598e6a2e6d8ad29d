"""Events as files: ``.jsonl``, and the subtitles ``.srt`` and ``.vtt``, whole and right at any moment."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from jepa_vl.errors import RecipeError, UserError
from jepa_vl.streaming.event import Event


class Writer(ABC):
    """Writes events as they come.

    Args:
        path: The file; one that is there already is written anew.

    Raises:
        UserError: It cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file: BinaryIO = path.open("wb")
        except OSError as error:
            raise UserError(f"--output {path}: {error.strerror}") from error

    @abstractmethod
    def write(self, event: Event) -> None:
        """Write an event; it is in the file when this returns."""

    def close(self, end: float) -> None:
        """Take the end of the stream, in seconds."""
        self._file.close()


class JSONLines(Writer):
    """One event a line, as it was when it was said."""

    def write(self, event: Event) -> None:
        """Write a line."""
        self._file.write((json.dumps(asdict(event), ensure_ascii=False) + "\n").encode())
        self._file.flush()


class Subtitles(Writer):
    """A text appears at the second that it is about, and holds until the next one or the end of the stream.

    The last cue ends where its decision was made until more is known; then it is written again.
    """

    header = b""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file.write(self.header)
        self._file.flush()
        self._number = 0
        self._last: tuple[float, Event] | None = None
        self._place = self._file.tell()  # of the last cue

    def write(self, event: Event) -> None:
        """Write a cue, and mend the end of the one before."""
        start = event.time
        content = b""
        if self._last is not None:
            start = max(start, self._last[0] + 0.001)
            content = self._mended(start)
        self._put(content, place=True)
        self._last = (start, event)
        if event.text.strip():
            self._number += 1
        self._put(self._mended(event.decided), place=False)

    def close(self, end: float) -> None:
        """Let the last text hold until the end."""
        if self._last is not None:
            self._put(self._mended(end), place=False)
        super().close(end)

    def _mended(self, end: float) -> bytes:
        """Return the last cue with this end."""
        assert self._last is not None
        start, event = self._last
        text = " ".join(event.text.split())  # an empty line would end the cue
        return self.cue(self._number, start, max(end, start + 0.001), text).encode() if text else b""

    def _put(self, content: bytes, *, place: bool) -> None:
        """Write the last cue anew, in one piece; with ``place``, for good."""
        self._file.seek(self._place)
        self._file.write(content)
        self._file.truncate()
        self._file.flush()
        if place:
            self._place = self._file.tell()

    @abstractmethod
    def cue(self, number: int, start: float, end: float, text: str) -> str:
        """Return a cue, with the empty line after it."""


class SRT(Subtitles):
    """SubRip."""

    def cue(self, number: int, start: float, end: float, text: str) -> str:
        """Return a cue, with the empty line after it."""
        return f"{number}\n{timestamp(start, ',')} --> {timestamp(end, ',')}\n{text}\n\n"


class VTT(Subtitles):
    """WebVTT."""

    header = b"WEBVTT\n\n"

    def cue(self, number: int, start: float, end: float, text: str) -> str:
        """Return a cue, with the empty line after it."""
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return f"{number}\n{timestamp(start, '.')} --> {timestamp(end, '.')}\n{escaped}\n\n"


WRITERS: dict[str, type[Writer]] = {".jsonl": JSONLines, ".srt": SRT, ".vtt": VTT}


def check_outputs(paths: Sequence[Path]) -> None:
    """Refuse files of unknown kinds and missing folders, before anything is computed.

    Raises:
        RecipeError: A file's ending is none of those that are known, there is no such folder, or a file is
            given twice.
    """
    for i, path in enumerate(paths):
        if path.suffix.lower() not in WRITERS:
            raise RecipeError(f"--output {path}: expected a file that ends with {', '.join(WRITERS)}")
        if not path.parent.is_dir():
            raise RecipeError(f"--output {path}: there is no folder '{path.parent}'")
        if path.resolve() in [other.resolve() for other in paths[:i]]:
            raise RecipeError(f"--output {path}: the file is given twice")


def open_writer(path: Path) -> Writer:
    """Return the writer for a file's ending.

    Raises:
        UserError: It cannot be written.
    """
    return WRITERS[path.suffix.lower()](path)


def timestamp(seconds: float, point: str) -> str:
    """Return ``00:00:12,345``, with this decimal point."""
    milliseconds = max(0, round(seconds * 1000))
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"
