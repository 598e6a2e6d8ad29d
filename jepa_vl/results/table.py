"""Rows of results as text: tables for the terminal, one a task, and all rows as one in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group
from rich.table import Table

from jepa_vl.results.units import number, quantity
from jepa_vl.tasks.base import Result

HEADINGS = ("task", "metric", "of", "value", "95 % interval", "n", "chance")
BLIND = {"majority": "no video", "question only": "no video"}  # baselines that share a column
ALL = "all"


def cells(rows: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Return the headings, one for each baseline at the end, and the text of every cell."""
    shown = [{BLIND.get(name, name): value for name, value in row.baselines.items()} for row in rows]
    baselines = sorted({name for each in shown for name in each})
    table = []
    for row, known in zip(rows, shown, strict=True):
        fixed = [row.task, row.metric, row.group, quantity(row.value, row.unit), _span(row), str(row.n)]
        others = [row.chance, *(known.get(name) for name in baselines)]
        table.append(fixed + ["" if value is None else quantity(value, row.unit) for value in others])
    return [*HEADINGS, *baselines], table


def _span(row: Result) -> str:
    if row.low is None or row.high is None:
        return ""
    return f"{number(row.low, row.unit)} – {number(row.high, row.unit)}"


def rich_tables(title: str, rows: Sequence[Result]) -> Group:
    """Return a table a task for the terminal; they fit into 100 columns where names are not very long."""
    tasks = dict.fromkeys(row.task for row in rows)
    return Group(*(_of_task(f"{title} · {task}", [r for r in rows if r.task == task]) for task in tasks))


def _of_task(title: str, rows: Sequence[Result]) -> Table:
    """Return the rows by the part of the samples they are of, without the columns that are empty."""
    groups = list(dict.fromkeys(row.group for row in rows))
    order = sorted(rows, key=lambda row: groups.index(row.group))  # stable: metrics stay in their order
    headings, lines = cells(order)
    table = Table(
        title=f"\n{title}", title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0)
    )
    if groups != [ALL]:
        table.add_column("of", overflow="fold")
    table.add_column("metric", overflow="fold")
    filled = [i for i in range(3, len(headings)) if any(line[i] for line in lines)]
    for i in filled:
        # a word a line where a baseline's name is longer than its numbers
        long = i >= len(HEADINGS) and len(headings[i]) > len("100.0 %") + 1
        heading = headings[i].replace(" ", "\n") if long else headings[i]
        table.add_column(heading, justify="right", vertical="bottom", no_wrap=True)
    for i, (row, line) in enumerate(zip(order, lines, strict=True)):
        first = i == 0 or order[i - 1].group != row.group
        name = [_indented(row.group, groups) if first else ""] if groups != [ALL] else []
        table.add_row(*name, row.metric, *(line[k] for k in filled), style="bold" if i == 0 else None)
    return table


def _indented(group: str, groups: Sequence[str]) -> str:
    """Name a kind by its last part, below the kind that it is a part of."""
    parent, _, last = group.rpartition("/")
    return f"  {last}" if parent in groups else group


def markdown(rows: Sequence[Result]) -> str:
    """Return a Markdown table with every note as a last column where there is one."""
    headings, lines = cells(rows)
    if any(row.note for row in rows):
        headings = [*headings, "note"]
        lines = [[*line, row.note] for line, row in zip(lines, rows, strict=True)]
    rules = ["---" if i < 3 or h == "note" else "---:" for i, h in enumerate(headings)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [headings, rules, *lines])
