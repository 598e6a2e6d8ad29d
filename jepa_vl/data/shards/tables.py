"""The samples of a prepared set: a line each, which says in what row of the shards its clip is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from jepa_vl.data.shards.store import Store
from jepa_vl.data.text_lists import SharedLists, Texts, has_lines, write_lines
from jepa_vl.errors import UserError
from jepa_vl.sample import Sample

FOLDER = "samples"


class Line(BaseModel):
    """A sample and where its clip is.

    Attributes:
        row: Of its clip; None for a text.
        still: Of the clip's single frame, where it is stored apart.
        sample: The manifest's line.
    """

    model_config = ConfigDict(extra="forbid")

    row: int | None = None
    still: int | None = None
    sample: Sample


def table_file(split: str) -> str:
    """Return the name of a split's table."""
    return f"{FOLDER}/{quote(split, safe='')}.jsonl"


def shared_lists(samples: Iterable[Sample]) -> dict[Texts, str]:
    """Return the lists of candidates that more than one sample has, and a file name for each."""
    times = Counter(sample.candidates for sample in samples if sample.candidates is not None)
    often = [texts for texts, count in times.items() if count > 1 and has_lines(texts)]
    return {texts: f"candidates-{number}.txt" for number, texts in enumerate(often)}


def write_table(store: Store, split: str, lines: Sequence[Line], lists: dict[Texts, str]) -> None:
    """Write a split's table."""
    with store.scratch() as folder:
        file = folder / "table"
        with file.open("w", encoding="utf-8") as opened:
            for line in lines:
                name = None if line.sample.candidates is None else lists.get(line.sample.candidates)
                content = line.model_dump(mode="json", exclude_defaults=True)
                if name is not None:
                    content["sample"]["candidates"] = name
                opened.write(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n")
        store.put(file, table_file(split))


def write_lists(store: Store, lists: dict[Texts, str]) -> list[str]:
    """Write the lists; returns the names of their files."""
    written = []
    for texts, name in lists.items():
        with store.scratch() as folder:
            write_lines(folder / name, texts)
            store.put(folder / name, f"{FOLDER}/{name}")
        written.append(f"{FOLDER}/{name}")
    return written


def read_table(file: Path, lists: SharedLists) -> list[Line]:
    """Read a split's table.

    Raises:
        UserError: It is not there, or damaged.
    """
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
        return [Line.model_validate_json(line, context=lists) for line in lines if line]
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"'{file}' is damaged ({reason}); prepare the data anew") from error
