"""Lists of texts in files of their own, one a line: candidates that many samples choose from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jepa_vl.whole_file import write_whole

Texts = tuple[str, ...]


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Return number and text of each line that is not blank, without the space around it.

    Raises:
        OSError: The file cannot be read.
        UnicodeDecodeError: It is not UTF-8.
    """
    lines = path.read_text(encoding="utf-8-sig").split("\n")  # a byte order mark is no part of a text
    return [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]


def write_lines(path: Path, texts: Sequence[str]) -> None:
    """Write a list that `read_lines` gives back. The file appears whole or not at all."""
    write_whole(path, "".join(f"{text}\n" for text in texts))


def has_lines(texts: Sequence[str]) -> bool:
    """Whether every text fits on a line and none occurs twice: a manifest could name the file of the list."""
    lines = all(text and text == text.strip() and "\n" not in text and "\r" not in text for text in texts)
    return lines and len(set(texts)) == len(texts)


class SharedLists:
    """The candidate lists of a manifest, each held once however many samples have it.

    Args:
        folder: Where the files lie that lines name.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, Texts] = {}
        self._held: dict[Texts, Texts] = {}

    def __call__(self, found: str | Texts) -> Texts:
        """Return the list of a file, by its name, or the first list that equals this one.

        Raises:
            ValueError: The file cannot be read, is empty, or a text occurs twice in it.
        """
        if not isinstance(found, str):
            return self._held.setdefault(found, found)
        if found not in self._files:
            self._files[found] = self(_read(self.folder / found))
        return self._files[found]


def _read(path: Path) -> Texts:
    try:
        lines = read_lines(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ValueError(
            f"cannot read '{path}' ({reason}); expected a list of texts, or a text file with one a line"
        ) from None
    first: dict[str, int] = {}
    for number, text in lines:
        if text in first:
            raise ValueError(f"'{path}', line {number}: '{text}' stands in line {first[text]} already")
        first[text] = number
    if not first:
        raise ValueError(f"'{path}' holds no text; expected one a line")
    return tuple(first)
