"""``jepa-vl prepare --inspect``: what is in a prepared set, as tables, and a contact sheet of it."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from jepa_vl.data.shards.reading import ShardReader
from jepa_vl.data.shards.report import report
from jepa_vl.data.shards.sheet import contact_sheet
from jepa_vl.data.shards.statistics import Counts, count, largest
from jepa_vl.errors import UserError

SHEET = "contact-sheet.png"
SHOWN = 12  # kinds and sources in a table; the rest is one row


def inspect(place: str, sheet: str | None) -> int:
    """Print what is in a set and draw its contact sheet; returns the exit status.

    Args:
        place: Folder or URL of the set.
        sheet: Where it is drawn; in the set's folder by default, or here where that is remote.

    Raises:
        UserError: There is no finished set, it is damaged, or the sheet cannot be written.
    """
    reader = ShardReader(place)
    reader.fetch_tables()
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)
    console.print(report(reader.prepared, []).rstrip(), markup=False)
    for what, counts in count(reader).items():
        if len(counts) > 1 or what == "split":
            console.print(_table(what, counts))
    target = Path(sheet) if sheet is not None else (reader.store.local or Path()) / SHEET
    try:
        contact_sheet(reader).save(target)
    except (OSError, ValueError) as error:
        raise UserError(f"--sheet: '{target}' cannot be written: {error}") from error
    console.print(f"contact sheet: {target}", markup=False)
    return 0


def _table(what: str, counts: dict[str, Counts]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(what)
    for heading in ("samples", "clips", "with a query", "distinct targets", "words", "seconds"):
        table.add_column(heading, justify="right")
    for name, found in largest(counts, SHOWN):
        table.add_row(
            name or "(none)",
            f"{found.samples:,}",
            f"{len(found.clips):,}",
            f"{found.queries:,}",
            f"{len(found.targets):,}",
            f"{found.words / found.samples:.1f}",
            f"{found.seconds / found.stretches:.2f}" if found.stretches else "",
        )
    return table
