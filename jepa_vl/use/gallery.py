"""`Gallery`: the windows of a folder of videos and their embeddings, in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from jepa_vl.errors import UserError

FILE = "gallery.sqlite"
FORMAT = 1
SCHEMA = """
CREATE TABLE about (one INTEGER PRIMARY KEY CHECK (one = 1), content TEXT NOT NULL, built TEXT);
CREATE TABLE files (
    path TEXT PRIMARY KEY,     -- relative to the folder
    size INTEGER NOT NULL,
    modified INTEGER NOT NULL, -- nanoseconds
    reason TEXT,               -- why it cannot be read, if it cannot
    first INTEGER,             -- row of its first window in the index
    count INTEGER NOT NULL,
    spans BLOB NOT NULL,       -- float64 [count, 2]: start and end in seconds; NaN for an image
    vectors BLOB NOT NULL      -- float32 [count, width]
);
CREATE INDEX files_first ON files (first);
"""


@dataclass(frozen=True)
class About:
    """What a gallery was made of, and how.

    Attributes:
        folder: The folder of videos.
        model: Where the model was loaded from.
        identity: Hash of the model.
        window: Seconds that are embedded at once.
        stride: Seconds from the start of one window to that of the next.
        width: E, of an embedding.
        format: Of the file.
    """

    folder: str
    model: str
    identity: str
    window: float
    stride: float
    width: int
    format: int = FORMAT


@dataclass(frozen=True)
class Media:
    """A file as it was found: equal records mean that it has not changed."""

    path: str
    size: int
    modified: int


@dataclass(frozen=True)
class Span:
    """A window of a file; start and end are None for an image."""

    path: str
    start: float | None
    end: float | None


class Gallery:
    """The store of an index. A file's windows are written in one transaction, or not at all.

    Args:
        folder: Where it is kept.
        about: What it is to be made of; None to open one that is there.

    Raises:
        UserError: There is none, it is damaged, or it was made of something else.
    """

    def __init__(self, folder: Path, about: About | None = None) -> None:
        self.folder = folder
        file = folder / FILE
        fresh = not file.exists()
        if fresh and about is None:
            raise UserError(f"{folder} holds no index ({FILE}); make one with `jepa-vl index`")
        if fresh and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"'{folder}' is there already and is no index; name a new folder")
        folder.mkdir(parents=True, exist_ok=True)
        self._base = sqlite3.connect(file)
        try:
            if about is not None and not self._base.execute("SELECT name FROM sqlite_master").fetchall():
                content = json.dumps(asdict(about))
                self._base.executescript(
                    f"BEGIN; {SCHEMA} INSERT INTO about VALUES (1, {_quoted(content)}, NULL); COMMIT;"
                )
            row = self._base.execute("SELECT content FROM about").fetchone()
            self.about = About(**json.loads(row[0]))
        except (sqlite3.DatabaseError, TypeError, ValueError) as error:
            raise UserError(f"{file} is not an index of jepa-vl, or is damaged: {error}") from error
        if about is not None:
            self._refuse_other(about)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()

    def _refuse_other(self, wanted: About) -> None:
        here = self.about
        for key, what in (
            ("identity", "another model"),
            ("folder", "another folder"),
            ("window", "another window"),
            ("stride", "another stride"),
        ):
            there, asked = getattr(here, key), getattr(wanted, key)
            if there == asked:
                continue
            if key == "identity":
                there, asked = f"{here.model} ({there[:12]})", f"{wanted.model} ({asked[:12]})"
            raise UserError(
                f"the index in {self.folder} was made with {what}: {there}, not {asked}; "
                "use the same again, or another --output"
            )

    def known(self) -> dict[str, Media]:
        """Every file that was looked at, by its path."""
        rows = self._base.execute("SELECT path, size, modified FROM files")
        return {row[0]: Media(*row) for row in rows}

    def unreadable(self) -> dict[str, str]:
        """Why files cannot be read, by path."""
        rows = self._base.execute("SELECT path, reason FROM files WHERE reason IS NOT NULL ORDER BY path")
        return dict(rows.fetchall())

    def put(
        self,
        media: Media,
        spans: NDArray[np.float64],
        vectors: NDArray[np.float32],
        reason: str | None = None,
    ) -> None:
        """Write a file's windows ``[n, 2]`` and embeddings ``[n, E]`` in place of those it had."""
        row = (media.path, media.size, media.modified, reason, len(spans))
        with self._base:
            self._base.execute("UPDATE about SET built = NULL")
            self._base.execute(
                "INSERT OR REPLACE INTO files (path, size, modified, reason, count, spans, vectors) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*row, spans.astype("<f8").tobytes(), vectors.astype("<f4").tobytes()),
            )

    def remove(self, path: str) -> None:
        """Forget a file."""
        with self._base:
            self._base.execute("UPDATE about SET built = NULL")
            self._base.execute("DELETE FROM files WHERE path = ?", (path,))

    def count(self) -> int:
        """Number of windows."""
        return int(self._base.execute("SELECT COALESCE(SUM(count), 0) FROM files").fetchone()[0])

    def vectors(self) -> Iterator[NDArray[np.float32]]:
        """Yield the embeddings ``[n, E]`` of one file after the other, in the order of their rows."""
        for (blob,) in self._base.execute("SELECT vectors FROM files WHERE count > 0 ORDER BY path"):
            yield np.frombuffer(blob, dtype="<f4").reshape(-1, self.about.width)

    @property
    def built(self) -> str | None:
        """Name of the index file of what the gallery holds now; None when it is to be made."""
        name: str | None = self._base.execute("SELECT built FROM about").fetchone()[0]
        return name if name is not None and (self.folder / name).exists() else None

    def set_built(self, name: str) -> None:
        """Number the windows in the order of `vectors`, and note the index file of that order."""
        rows = self._base.execute("SELECT path, count FROM files WHERE count > 0 ORDER BY path").fetchall()
        first, numbered = 0, []
        for path, count in rows:
            numbered.append((first, path))
            first += count
        with self._base:
            self._base.executemany("UPDATE files SET first = ? WHERE path = ?", numbered)
            self._base.execute("UPDATE about SET built = ?", (name,))

    def span(self, row: int) -> Span:
        """Return the window of a row of the index."""
        path, first, blob = self._base.execute(
            "SELECT path, first, spans FROM files WHERE first <= ? ORDER BY first DESC LIMIT 1", (row,)
        ).fetchone()
        start, end = np.frombuffer(blob, dtype="<f8").reshape(-1, 2)[row - first].tolist()
        return Span(path, None, None) if np.isnan(start) else Span(path, start, end)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
