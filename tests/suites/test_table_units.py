"""A suite's table prints each measure in its own unit."""

from __future__ import annotations

from jepa_vl.suites.compare import Difference
from jepa_vl.suites.table import Cell, SuiteTable
from jepa_vl.tasks.base import Result

DIFFERENCE = Difference(0.2, -0.05, 0.4, 9)
ROWS = [
    Result("captioning", "CIDEr", 1.2, 9, None, 1.0, 1.5, unit="points"),
    Result("retrieval", "median rank", 2.5, 9, 50.0, 1.0, 4.0, higher_is_better=False, unit="rank"),
    Result("vqa", "accuracy", 0.6, 9, 0.5, 0.55, 0.65),
]


def table(*rows: Result) -> SuiteTable:
    cells = [Cell("m", "b", f"{row.task} {row.metric}", row, DIFFERENCE) for row in rows]
    return SuiteTable("s", "other", cells, {("captioning CIDEr", "b", "Them"): 1.17})


def test_points_and_percents_are_times_a_hundred_and_ranks_are_not() -> None:
    suite = table(*ROWS)
    cells = {measure: suite.grid(measure)[1] for measure in suite.measures}
    assert cells["captioning CIDEr"] == [
        ["m", "120.0 (100.0–150.0) Δ +20.0 [-5.0, +40.0]"],
        ["Them (paper)", "117.0"],
    ]
    assert cells["retrieval median rank"] == [["m", "2.5 (1–4) Δ +0.2 [-0.1, +0.4]"], ["chance", "50"]]
    assert cells["vqa accuracy"] == [["m", "60.0 (55.0–65.0) Δ +20.0 [-5.0, +40.0]"], ["chance", "50.0"]]


def test_the_notes_say_what_is_not_in_percent() -> None:
    assert (
        table(*ROWS)
        .notes[0]
        .startswith("in %, but captioning CIDEr × 100, retrieval median rank as a rank; (95 %")
    )
    assert table(ROWS[2]).notes[0].startswith("in %; (95 %")
