"""Manifest files: JSON lines ↔ `Sample`s, with errors that name the file, the line and the field."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pydantic import ValidationError

from jepa_vl.data.text_lists import SharedLists, has_lines, write_lines
from jepa_vl.errors import ManifestError, did_you_mean, nearest
from jepa_vl.sample import Sample
from jepa_vl.whole_file import replacing

SHOWN = 5  # broken lines or files listed in one message; the rest is counted
COMPARED = 1000  # names of a folder that a missing one is compared with; in a larger one that takes too long


@dataclass(frozen=True)
class Record:
    """A sample, and where it stands.

    Attributes:
        sample: The line's content.
        path: Its media: a file, a folder of frames, or a URL; relative paths are resolved. Empty for a text.
        where: ``file, line n``, for messages.
    """

    sample: Sample
    path: str
    where: str


def read_manifest(path: str | Path) -> list[Sample]:
    """Read a manifest.

    Raises:
        ManifestError: The file is missing or empty, a line is broken, or an id occurs twice.
    """
    return [record.sample for record in read_records(path)]


def read_records(path: str | Path, *, root: str | Path | None = None) -> list[Record]:
    """Read a manifest with the place of every sample; ``root`` is where relative media lie.

    Raises:
        ManifestError: The file is missing or empty, a line is broken, or an id occurs twice.
    """
    path = Path(path)
    folder = Path(root) if root is not None else path.parent
    shared = SharedLists(path.parent)
    records: list[Record] = []
    broken: list[str] = []
    first_line: dict[str, int] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            sample = Sample.model_validate_json(line, context=shared)
        except ValidationError as error:
            broken.append(f"line {number}: {_one_line(error)}")
            continue
        if sample.id in first_line:
            broken.append(
                f"line {number}: field 'id': '{sample.id}' stands in line {first_line[sample.id]} "
                "already, ids must be unique"
            )
            continue
        first_line[sample.id] = number
        records.append(Record(sample, resolve_media(sample.media, folder), f"{path}, line {number}"))
    if broken:
        more = [f"and {len(broken) - SHOWN} more"] if len(broken) > SHOWN else []
        raise ManifestError("\n  ".join([f"{path}: {len(broken)} broken line(s)", *broken[:SHOWN], *more]))
    if not records:
        raise ManifestError(f"{path} holds no sample; expected one JSON object a line")
    return records


def write_manifest(path: str | Path, samples: Iterable[Sample], *, share_candidates: bool = False) -> None:
    """Write samples as JSON lines, defaults left out. The file appears whole or not at all.

    Args:
        path: The manifest.
        samples: What it is to hold.
        share_candidates: Whether the candidates of the first sample that has some stand in a text file
            beside the manifest, ``<manifest>.candidates.txt``, and not in every line that has the same.
    """
    path = Path(path)
    listed = path.with_name(path.name + ".candidates.txt")
    shared: tuple[str, ...] | None = None
    with replacing(path) as part, part.open("w", encoding="utf-8") as file:
        for sample in samples:
            if share_candidates and shared is None and has_lines(sample.candidates or ()):
                shared = sample.candidates
            if shared is None or sample.candidates != shared:
                line = sample.model_dump_json(exclude_defaults=True)
            else:
                rest = sample.model_dump(mode="json", exclude_defaults=True, exclude={"candidates"})
                line = json.dumps(
                    rest | {"candidates": listed.name}, ensure_ascii=False, separators=(",", ":")
                )
            file.write(line + "\n")
        if shared is not None:
            write_lines(listed, shared)


def is_url(media: str) -> bool:
    """Whether media is read over a network."""
    return "://" in media


def resolve_media(media: str, folder: Path) -> str:
    """Path of media that may be relative to ``folder``; a URL, or nothing, stays as it is."""
    return media if is_url(media) or not media else str(folder / media)


def missing_file(path: Path) -> str:
    """Say that a file is missing, and what is there that looks like it."""
    if not path.parent.is_dir():
        return f"there is no folder '{path.parent}'"
    names = [entry.name for entry in islice(path.parent.iterdir(), COMPARED + 1)]
    near = nearest(path.name, names) if len(names) <= COMPARED else []
    hint = "; did you mean " + " or ".join(f"'{name}'" for name in near) + "?" if near else ""
    return f"there is no '{path.name}' in '{path.parent}'{hint}"


def _lines(path: Path) -> list[str]:
    if path.is_dir():
        raise ManifestError(f"manifest '{path}' is a folder; expected a file of JSON lines")
    if not path.is_file():
        raise ManifestError(f"manifest '{path}' is not a file: {missing_file(path)}")
    try:
        # not splitlines(): it also splits at characters that JSON allows within a string
        return path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"manifest '{path}' is not UTF-8 text (byte {error.start}); expected JSON lines"
        ) from error


def _one_line(error: ValidationError) -> str:
    """Boil pydantic's report of one line down: field, what was found, what was expected."""
    parts = []
    for detail in error.errors(include_url=False):
        field = ".".join(str(part) for part in detail["loc"])
        if detail["type"] == "json_invalid":
            parts.append(f"not JSON ({detail['msg'].removeprefix('Invalid JSON: ')})")
        elif detail["type"] == "extra_forbidden":
            parts.append(f"unknown field '{field}': {did_you_mean(field, Sample.model_fields)}")
        elif detail["type"] == "missing":
            parts.append(f"field '{field}' is missing")
        elif field:
            found = _shorten(repr(detail["input"]))
            parts.append(f"field '{field}': found {found}, {_lower(_said(detail['msg']))}")
        else:
            parts.append(_lower(_said(detail["msg"])))
    return "; ".join(parts)


def _said(message: str) -> str:
    return message.removeprefix("Value error, ")  # what our own checks say, without pydantic's word


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _shorten(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
