"""What ``jepa-vl evaluate`` does once its command line is read: run, compare, write and print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from jepa_vl.cli.run import quiet
from jepa_vl.errors import RecipeError, did_you_mean
from jepa_vl.runs import RUNS
from jepa_vl.suites.models import ModelSource
from jepa_vl.suites.run import run_suite
from jepa_vl.suites.suite import load_suite
from jepa_vl.suites.table import SuiteTable


def evaluate(
    suite_file: str, models: Sequence[str], output: Path | None, overrides: Sequence[tuple[str, str]]
) -> int:
    """Run a suite and write its table; returns 1 where no benchmark could be run, else 0.

    Raises:
        RecipeError: The suite or a model's path is wrong.
        UserError: A model cannot be built.
    """
    quiet()
    suite = load_suite(suite_file, overrides)
    sources = [ModelSource.parse(text) for text in models]
    names = [source.name for source in sources]
    if suite.baseline and suite.baseline not in names:
        hint = did_you_mean(suite.baseline, names)
        raise RecipeError(f"{suite_file}: baseline: '{suite.baseline}' is none of the models; {hint}")
    folder = output or RUNS / "evaluate" / suite.name
    measured = list(run_suite(suite, sources, folder))
    table = SuiteTable.of(suite.name, measured, suite.baseline)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {
        "table.md": table.markdown(),
        "table.html": table.page(),
        "table.tex": table.latex(),
        "table.json": table.json(),
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    _show(table, folder)
    return 0 if any(m.results is not None for m in measured) else 1


def _show(table: SuiteTable, folder: Path) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    for measure in table.measures:
        headings, rows = table.grid(measure)
        shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for i, heading in enumerate(headings):
            shown.add_column(heading, justify="right" if i else "left")
        for row in rows:
            shown.add_row(*row)
        console.print(shown)
    for note in table.notes:
        console.print(note, markup=False)
    console.print(f"written to {folder}/table.md, .html, .tex and .json", markup=False)
