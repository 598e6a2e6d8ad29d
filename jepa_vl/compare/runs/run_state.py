"""``run.json`` of a run: written at its start, brought up to date, read when it is met again."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from jepa_vl.compare.records import RunRecord
from jepa_vl.errors import UserError
from jepa_vl.whole_file import write_whole

FILE = "run.json"
#: States that running again with the same key would not change.
FINAL = ("finished", "diverged")


def read_record(folder: Path) -> RunRecord | None:
    """Return the record of a run, or None where there is none.

    Raises:
        UserError: The file is not such a record.
    """
    path = folder / FILE
    try:
        return RunRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{path}: not the record of a run: {where}: {first['msg']}") from None


def write_record(folder: Path, record: RunRecord) -> None:
    """Write a record; a reader never sees half of it."""
    write_whole(folder / FILE, record.model_dump_json(indent=2) + "\n")
