"""Rows of results as text: a table for the terminal, and the same one in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from jepa_vl.tasks.base import Result

HEADINGS = ("task", "metric", "of", "value", "95 % interval", "n", "chance")
BLIND = {"majority": "no video", "question only": "no video"}  # baselines that share a column


def cells(rows: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Return the headings, one for each baseline at the end, and the text of every cell."""
    shown = [{BLIND.get(name, name): value for name, value in row.baselines.items()} for row in rows]
    baselines = sorted({name for each in shown for name in each})
    table = []
    for row, known in zip(rows, shown, strict=True):
        interval = "" if row.low is None or row.high is None else _span(row)
        fixed = [row.task, row.metric, row.group, _number(row, row.value), interval, str(row.n)]
        others = [row.chance, *(known.get(name) for name in baselines)]
        table.append(fixed + ["" if value is None else _number(row, value) for value in others])
    return [*HEADINGS, *baselines], table


def _number(row: Result, value: float) -> str:
    """Ranks as they are, fractions in percent; three digits where one decimal would hide the value."""
    if not row.higher_is_better:
        return f"{value:g}" if value == int(value) else f"{value:.1f}"
    percent = 100 * value
    return f"{percent:.2f} %" if 0 < abs(percent) < 1 else f"{percent:.1f} %"


def _span(row: Result) -> str:
    assert row.low is not None
    assert row.high is not None
    return f"{_number(row, row.low).removesuffix(' %')} – {_number(row, row.high).removesuffix(' %')}"


def rich_table(title: str, rows: Sequence[Result]) -> Table:
    """Return a table for the terminal; a line between tasks, the task named once."""
    headings, lines = cells(rows)
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for i, heading in enumerate(headings):
        text = i < 3  # texts fold on a narrow terminal, numbers stay whole
        table.add_column(heading, justify="left" if text else "right", no_wrap=not text)
    for i, line in enumerate(lines):
        new = i == 0 or rows[i - 1].task != rows[i].task
        if new and i:
            table.add_section()
        table.add_row(*[line[0] if new else "", *line[1:]], style="bold" if new else None)
    return table


def markdown(rows: Sequence[Result]) -> str:
    """Return a Markdown table with every note as a last column where there is one."""
    headings, lines = cells(rows)
    if any(row.note for row in rows):
        headings = [*headings, "note"]
        lines = [[*line, row.note] for line, row in zip(lines, rows, strict=True)]
    rules = ["---" if i < 3 or h == "note" else "---:" for i, h in enumerate(headings)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [headings, rules, *lines])
