"""The control sheet as tables for the terminal, readable at 100 columns with any number of arms."""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from jepa_vl.compare.control.proof import ControlSheet, brief

STYLES = {"same": "green", "listed": "yellow", "refused": "bold red"}
LONGEST = 160  # characters of a value that all arms share; control.json has it whole


def control_tables(sheet: ControlSheet) -> Group:
    """Return the checks, what differs, and what must be known or mended before the comparison is run."""
    checks = _table(f"{sheet.comparison} · held equal", "check", "verdict")
    for row in sheet.rows:
        checks.add_row(row.check, Text(row.verdict, STYLES[row.verdict]), _told(row.values))
    differs = _table(f"{sheet.comparison} · what is compared", "key")
    for each in sheet.differs:
        differs.add_row(each.key, _told(each.values))
    lines: list[RenderableType] = [Text(f"\n{note}") for note in sheet.notes]
    lines += [Text(f"\nrefused: {message}", "red") for message in sheet.refused]
    return Group(checks, differs, *lines)


def _table(title: str, *headings: str) -> Table:
    table = Table(
        title=f"\n{title}", title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0)
    )
    for heading in headings:
        table.add_column(heading, overflow="fold", no_wrap=heading != "key", max_width=34)
    table.add_column("value of all arms, or of each", overflow="fold")
    return table


def _told(values: Mapping[str, str]) -> Text:
    """Return a value that all share, or a line for each other value with the arms that have it."""
    arms: dict[str, list[str]] = {}
    for arm, value in values.items():
        arms.setdefault(value, []).append(arm)
    if len(arms) == 1:
        value = brief(next(iter(arms)))
        return Text(value if len(value) <= LONGEST else f"{value[:LONGEST]}…")
    return Text("\n".join(f"{', '.join(names)}: {brief(value)}" for value, names in arms.items()))
