"""Annotation files (JSON, JSON lines, CSV) whose errors name file, place, what was found and what is read."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jepa_vl.data.records import missing_file
from jepa_vl.errors import ManifestError, did_you_mean

SHOWN = 60  # characters of a wrong value in a message
_KINDS = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "nothing",
}
_CLOCK = re.compile(r"(\d+):(\d{1,2}):(\d{1,2}(?:\.\d*)?)")


@dataclass(frozen=True)
class Annotation:
    """A value of an annotation file, and where it stands. Its parts are read by key.

    Attributes:
        value: The value, as JSON has it; the cells of a CSV row are texts.
        where: ``file, line n`` or ``file, key 'a.b'``, for messages.
        version: What the reader expects, for messages: ``something-something-v2-validation.json``.
    """

    value: Any
    where: str
    version: str

    def wrong(self, problem: str) -> ManifestError:
        """Return the error of a file that is not what the reader reads."""
        return ManifestError(f"{self.where}: {problem}; this reader reads {self.version}")

    def has(self, key: str) -> bool:
        """Whether there is something under ``key``."""
        return self._object().get(key) not in (None, "")

    def at(self, key: str) -> Annotation:
        """Return what stands under ``key``.

        Raises:
            ManifestError: This is not an object, or it has no such key.
        """
        inside = self._object()
        if key not in inside:
            raise self.wrong(f"'{key}' is missing; found {_listed(inside)}")
        return Annotation(inside[key], f"{self.where}, '{key}'", self.version)

    def text(self, key: str) -> str:
        """Return a text that is not blank, without white space around it."""
        found = self.at(key)
        value = str(found.value) if isinstance(found.value, int) else found.value
        if not isinstance(value, str) or not value.strip():
            raise found.wrong(f"found {_shown(found.value)}, expected a text")
        return value.strip()

    def number(self, key: str) -> float:
        """Return a finite number; a cell of a table may hold it as text."""
        found = self.at(key)
        try:
            number = float(found.value) if isinstance(found.value, str | int | float) else math.nan
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise found.wrong(f"found {_shown(found.value)}, expected a number")
        return number

    def seconds(self, key: str) -> float:
        """Return a time of the form ``00:01:02.50`` in seconds."""
        found = self.at(key)
        clock = _CLOCK.fullmatch(str(found.value).strip())
        if clock is None:
            raise found.wrong(f"found {_shown(found.value)}, expected a time such as 00:01:02.50")
        return int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3])

    def span(self, key: str) -> tuple[float, float]:
        """Return a list of two numbers, the seconds of a beginning and an end."""
        found = self.at(key)
        value = found.value
        if not isinstance(value, list) or [type(v) in (int, float) for v in value] != [True, True]:
            raise found.wrong(f"found {_shown(value)}, expected [start, end] in seconds")
        return float(value[0]), float(value[1])

    def texts(self, key: str) -> list[str]:
        """Return a list of texts."""
        found = self.at(key)
        if not isinstance(found.value, list) or not all(isinstance(item, str) for item in found.value):
            raise found.wrong(f"found {_shown(found.value)}, expected a list of texts")
        return found.value

    def entries(self) -> list[Annotation]:
        """Return the entries of a list.

        Raises:
            ManifestError: This is not a list.
        """
        if not isinstance(self.value, list):
            raise self.wrong(f"found {_kind(self.value)}, expected a list")
        return [
            Annotation(v, f"{self.where}, entry {i}", self.version) for i, v in enumerate(self.value, start=1)
        ]

    def items(self) -> list[tuple[str, Annotation]]:
        """Return the keys and values of an object.

        Raises:
            ManifestError: This is not an object.
        """
        inside = self._object()
        return [(k, Annotation(v, f"{self.where}, '{k}'", self.version)) for k, v in inside.items()]

    def one_of(self, name: str, names: Collection[str]) -> str:
        """Return ``name``, read from this value, if it is one of the official names.

        Raises:
            ManifestError: It is not; says which is nearest.
        """
        if name not in names:
            raise self.wrong(f"'{name}' is none of the {len(names)} names; {did_you_mean(name, names)}")
        return name

    def _object(self) -> dict[str, Any]:
        if not isinstance(self.value, dict):
            raise self.wrong(f"found {_kind(self.value)}, expected an object with keys")
        return self.value


def read_text(path: str | Path, version: str) -> str:
    """Return the text of an annotation file.

    Raises:
        ManifestError: It is missing, or not UTF-8.
    """
    path = Path(path)
    if not path.is_file():
        raise ManifestError(
            f"annotation file '{path}' is not a file: {missing_file(path)}; expected {version}"
        )
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{path} is not UTF-8 text (byte {error.start}); this reader reads {version}"
        ) from error


def read_json(path: str | Path, version: str) -> Annotation:
    """Read a JSON file.

    Raises:
        ManifestError: It is missing, or not JSON.
    """
    try:
        value = json.loads(read_text(path, version))
    except json.JSONDecodeError as error:
        raise ManifestError(
            f"{path}, line {error.lineno}: not JSON ({error.msg}); this reader reads {version}"
        ) from error
    return Annotation(value, str(path), version)


def read_jsonl(path: str | Path, version: str) -> Iterator[Annotation]:
    """Yield the objects of a file of JSON lines.

    Raises:
        ManifestError: It is missing, empty, or a line is not JSON.
    """
    lines = [
        (n, line) for n, line in enumerate(read_text(path, version).split("\n"), start=1) if line.strip()
    ]
    if not lines:
        raise ManifestError(f"{path} is empty; this reader reads {version}")
    for number, line in lines:
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise ManifestError(
                f"{path}, line {number}: not JSON ({error.msg}); this reader reads {version}"
            ) from error
        yield Annotation(value, f"{path}, line {number}", version)


def read_csv(
    path: str | Path, version: str, columns: Sequence[str], *, header: bool = True, delimiter: str = ","
) -> Iterator[Annotation]:
    """Yield the rows of a table.

    Args:
        path: The file.
        version: What the reader expects, for messages.
        columns: The columns that are read; all columns in order where there is no header.
        header: Whether the first row names the columns.
        delimiter: What stands between cells.

    Raises:
        ManifestError: The file is missing or empty, a column is missing, or a row is cut short.
    """
    text = read_text(path, version)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    names = list(columns)
    if header:
        names = [name.strip() for name in next(reader, [])]
        if missing := [c for c in columns if c not in names]:
            raise ManifestError(
                f"{path}, line 1: column '{missing[0]}' is missing; found {_listed(names)}; "
                f"this reader reads {version}"
            )
    empty = True
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        empty = False
        where = f"{path}, line {reader.line_num}"
        if len(cells) != len(names):
            raise ManifestError(
                f"{where}: found {len(cells)} cells, expected {len(names)}; this reader reads {version}"
            )
        yield Annotation(dict(zip(names, cells, strict=True)), where, version)
    if empty:
        raise ManifestError(f"{path} holds no row; this reader reads {version}")


def _listed(keys: Any) -> str:
    return _shorten(", ".join(str(key) for key in keys)) or "nothing"


def _kind(value: Any) -> str:
    return _KINDS[type(value)]


def _shown(value: Any) -> str:
    return _shorten(json.dumps(value, ensure_ascii=False))


def _shorten(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
