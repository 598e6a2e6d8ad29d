"""The table of a suite: models by benchmarks, as Markdown, HTML, LaTeX and JSON."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from typing import Any

from jepa_vl.data.base import SINGLE_FRAME
from jepa_vl.results.units import PRINTING, difference, number
from jepa_vl.suites.compare import Difference, paired_difference
from jepa_vl.suites.run import Measured
from jepa_vl.tasks.base import Result, Unit


@dataclass(frozen=True)
class Cell:
    """One number of the table.

    Attributes:
        model: Its row.
        column: Its column: benchmark, and the sample set where there are several.
        measure: "task metric".
        result: The number with its interval; None where there is none.
        difference: To the baseline model, on the same samples.
        why: Why there is no number.
    """

    model: str
    column: str
    measure: str
    result: Result | None = None
    difference: Difference | None = None
    why: str = ""


@dataclass
class SuiteTable:
    """Every number of a suite.

    Attributes:
        name: The suite's name.
        baseline: The model that the others are compared with.
        cells: Of the models that were run.
        paper: (measure, column, system) → what the paper reports, a fraction.
        decoders: Model → what says its texts, where it was given one.
    """

    name: str
    baseline: str
    cells: list[Cell]
    paper: dict[tuple[str, str, str], float]
    decoders: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, measured: Sequence[Measured], baseline: str = "") -> SuiteTable:
        """Put together what was measured; the baseline is the first model where none is named."""
        baseline = baseline or (measured[0].model if measured else "")
        against = {(m.benchmark.name): m for m in measured if m.model == baseline}
        cells: list[Cell] = []
        paper: dict[tuple[str, str, str], float] = {}
        for one in measured:
            cells += _cells(one, against.get(one.benchmark.name))
            for measure, systems in one.benchmark.paper.items():
                paper |= {(measure, one.benchmark.name, system): v for system, v in systems.items()}
        decoders = {one.model: one.decoder for one in measured if one.decoder}
        return cls(name, baseline, cells, paper, decoders)

    @property
    def measures(self) -> list[str]:
        """Every measure, in the order of its first cell."""
        return list(dict.fromkeys(cell.measure for cell in self.cells))

    def grid(self, measure: str) -> tuple[list[str], list[list[str]]]:
        """Return the headings and the rows of one measure: our models, then the paper's numbers."""
        cells = [cell for cell in self.cells if cell.measure == measure]
        columns = list(dict.fromkeys(cell.column for cell in cells))
        at = {(cell.model, cell.column): cell for cell in cells}
        rows = [
            [model, *(_text(at.get((model, column))) for column in columns)]
            for model in dict.fromkeys(cell.model for cell in cells)
        ]
        unit = self._unit(measure)
        chances = {cell.column: cell.result.chance for cell in cells if cell.result is not None}
        if any(chance is not None for chance in chances.values()):
            rows.append(["chance", *(_maybe(chances.get(column), unit) for column in columns)])
        systems = dict.fromkeys(s for m, column, s in self.paper if m == measure and column in columns)
        for system in systems:
            numbers = [self.paper.get((measure, column, system)) for column in columns]
            rows.append([f"{system} (paper)", *(_maybe(n, unit) for n in numbers)])
        return [measure, *columns], rows

    def _unit(self, measure: str) -> Unit:
        units = (cell.result.unit for cell in self.cells if cell.measure == measure and cell.result)
        return next(units, "percent")

    def _units(self) -> str:
        """Say what is in percent, and what is not."""
        said = {m: PRINTING[unit].said for m in self.measures if (unit := self._unit(m)) != "percent"}
        others = ", ".join(f"{measure} {how}" for measure, how in said.items())
        return f"in %, but {others}" if others else "in %"

    @property
    def notes(self) -> list[str]:
        """What a reader must know: the baseline, who says the texts, and why numbers are missing."""
        found = [
            f"{self._units()}; (95 % bootstrap interval over episodes); Δ: difference to {self.baseline} on "
            "the same samples [95 % interval of the paired bootstrap]"
        ]
        missing = dict.fromkeys(f"{c.model}, {c.column}, {c.measure}: {c.why}" for c in self.cells if c.why)
        said = [f"{model}: its texts are said by the decoder {d}" for model, d in self.decoders.items()]
        return [*found, *said, *missing]

    def markdown(self) -> str:
        """Return a table for each measure, and the notes."""
        parts = [f"# {self.name}"]
        for measure in self.measures:
            headings, rows = self.grid(measure)
            rule = ["---"] + ["---:"] * (len(headings) - 1)
            parts.append("\n".join("| " + " | ".join(line) + " |" for line in [headings, rule, *rows]))
        return "\n\n".join([*parts, *(f"- {note}" for note in self.notes)]) + "\n"

    def latex(self) -> str:
        """Return a ``tabular`` for each measure, with booktabs' rules."""
        parts = []
        for measure in self.measures:
            headings, rows = self.grid(measure)
            lines = [" & ".join(map(_escape, line)) + r" \\" for line in [headings, *rows]]
            head = rf"\begin{{tabular}}{{l{'r' * (len(headings) - 1)}}}" + "\n\\toprule"
            parts.append(
                "\n".join([head, lines[0], r"\midrule", *lines[1:], r"\bottomrule", r"\end{tabular}"])
            )
        return "\n\n".join([*parts, *(f"% {note}" for note in self.notes)]) + "\n"

    def page(self) -> str:
        """Return a self-contained HTML page."""
        parts = [f"<h1>{html.escape(self.name)}</h1>"]
        for measure in self.measures:
            headings, rows = self.grid(measure)
            head = "".join(f"<th>{html.escape(text)}</th>" for text in headings)
            body = "".join(
                f"<tr{' class=paper' if row[0].endswith('(paper)') or row[0] == 'chance' else ''}>"
                + "".join(f"<td>{html.escape(text)}</td>" for text in row)
                + "</tr>"
                for row in rows
            )
            parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return (
            f"<!doctype html><meta charset=utf-8><title>{html.escape(self.name)}</title>"
            f"<style>{_STYLE}</style>" + "".join(parts) + f"<ul>{notes}</ul>\n"
        )

    def json(self) -> str:
        """Return every cell, with nothing rounded."""
        cells = [
            {**asdict(cell), "result": None if cell.result is None else asdict(cell.result)}
            for cell in self.cells
        ]
        paper = [
            {"measure": measure, "column": column, "system": system, "value": value}
            for (measure, column, system), value in self.paper.items()
        ]
        about: dict[str, Any] = {"suite": self.name, "baseline": self.baseline, "decoders": self.decoders}
        about |= {"cells": cells, "paper": paper}
        return json.dumps(about, indent=1) + "\n"


_STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;max-width:75em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:1.2em 0;font-variant-numeric:tabular-nums}"
    "th,td{padding:.3em .8em;text-align:right;border-bottom:1px solid #ddd}th{border-bottom:2px solid #444}"
    "td:first-child,th:first-child{text-align:left}.paper td{color:#777}li{color:#555;font-size:90%}"
)


def _cells(one: Measured, baseline: Measured | None) -> list[Cell]:
    name = one.benchmark.name
    if one.results is None:
        return [Cell(one.model, name, measure, why=one.skipped) for measure in one.benchmark.shown or ["–"]]
    found = []
    sets = [s for s in one.results.sets if not s.endswith(SINGLE_FRAME)]
    for sample_set in sets:
        column = name if len(sets) == 1 else f"{name} {sample_set}"
        rows = one.results.sets[sample_set]
        for row in _shown(rows, one.benchmark.shown):
            measure = f"{row.task} {_name(row)}"
            difference = None
            if baseline is not None and baseline is not one:
                difference = _difference(one, baseline, sample_set, row)
            shown = replace(row, note="")
            found.append(Cell(one.model, column, measure, shown, difference))
        there = {f"{row.task} {_name(row)}" for row in rows}
        for measure in one.benchmark.shown:
            if measure not in there and measure.partition(" ")[0] not in one.cannot:
                found.append(Cell(one.model, column, measure, why="this model has no such number"))
        for task, lacks in one.cannot.items():
            headline = next((m for m in one.benchmark.shown if m.startswith(f"{task} ")), task)
            found.append(Cell(one.model, column, headline, why=f"it cannot {lacks}"))
    return found


def _shown(rows: Sequence[Result], wanted: Sequence[str]) -> list[Result]:
    if wanted:
        by_name = {f"{row.task} {_name(row)}": row for row in rows}
        return [by_name[name] for name in wanted if name in by_name]
    first: dict[str, Result] = {}
    for row in rows:
        first.setdefault(row.task, row)
    return list(first.values())


def _name(row: Result) -> str:
    """The name of a row as `Task.outcomes` has it."""
    return row.metric if row.group == "all" else f"{row.group}/{row.metric}"


def _difference(one: Measured, other: Measured, sample_set: str, row: Result) -> Difference | None:
    mine, theirs = (m.outcomes.sets.get(sample_set) for m in (one, other))
    if mine is None or theirs is None:
        return None
    values = [s.tasks.get(row.task, {}).get(_name(row)) for s in (mine, theirs)]
    if values[0] is None or values[1] is None:
        return None
    return paired_difference(values[0], values[1], mine.episodes)


def _text(cell: Cell | None) -> str:
    if cell is None or cell.result is None:
        return "–"
    row = cell.result
    text = number(row.value, row.unit)
    if row.low is not None and row.high is not None:
        text += f" ({number(row.low, row.unit)}–{number(row.high, row.unit)})"
    if cell.difference is not None:
        value, low, high = (difference(d, row.unit) for d in astuple(cell.difference)[:3])
        text += f" Δ {value} [{low}, {high}]"
    return text


def _maybe(value: float | None, unit: Unit) -> str:
    return "–" if value is None else number(value, unit)


def _escape(text: str) -> str:
    for old, new in (("\\", r"\textbackslash "), ("&", r"\&"), ("%", r"\%"), ("_", r"\_"), ("#", r"\#")):
        text = text.replace(old, new)
    return text.replace("Δ", r"$\Delta$").replace("–", "--")
