"""Annotations in many files: rows of JSON lines and of Parquet, in the order of the files' names."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

from jepa_vl.data.records import missing_file
from jepa_vl.errors import ManifestError, UserError
from jepa_vl.readers.annotation import Annotation, read_jsonl


def read_rows(pattern: str, version: str) -> Iterator[Annotation]:
    """Yield the rows of one file, or of all that match a pattern.

    Args:
        pattern: A file, or a pattern such as ``data/*.parquet``.
        version: What the reader expects, for messages.

    Raises:
        ManifestError: There is no such file, or it cannot be read.
        UserError: A Parquet file needs ``pyarrow``.
    """
    for path in files_of(pattern, version):
        if path.suffix == ".parquet":
            yield from _read_parquet(path, version)
        else:
            yield from read_jsonl(path, version)


def files_of(pattern: str, version: str) -> list[Path]:
    """Return the files of a pattern such as ``shards/*.tar``, or the one file, by name.

    Raises:
        ManifestError: There is none.
    """
    path = Path(pattern)
    if any(c in pattern for c in "*?["):
        if found := sorted(Path(path.anchor or ".").glob(str(path.relative_to(path.anchor)))):
            return found
        raise ManifestError(f"no file matches '{pattern}'; expected {version}")
    if not path.is_file():
        raise ManifestError(
            f"annotation file '{path}' is not a file: {missing_file(path)}; expected {version}"
        )
    return [path]


def _read_parquet(path: Path, version: str) -> Iterator[Annotation]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise UserError(
            f"{path}: Parquet files need pyarrow (`pip install pyarrow`); JSON lines are read without it"
        ) from error
    number = 0
    try:
        for batch in parquet.ParquetFile(path).iter_batches(batch_size=256):
            for row in batch.to_pylist():
                number += 1
                yield Annotation(row, f"{path}, row {number}", version)
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise ManifestError(f"{path}: not a Parquet file ({error}); this reader reads {version}") from error
