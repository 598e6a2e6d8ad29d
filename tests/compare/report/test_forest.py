"""Changes drawn as a forest plot, read back from the drawing."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from jepa_vl.compare.report.figures import COLOURS
from jepa_vl.compare.report.forest import OURS, PAPER, Change, Column, panel, whole

ROWS = ["causal", "1 layer", "frozen"]


def drawn(changes: Sequence[Change]) -> str:
    return panel(ROWS, [Column("VQA", "percentage points", changes)])


def marks(svg: str, place: int) -> list[tuple[float, float]]:
    """Where the marks of a colour are, in the points of the drawing."""
    uses = re.findall(r'<use [^>]*?x="([\d.]+)" y="([\d.]+)" style="[^"]*?stroke: var\(--c(\d)\)', svg)
    return [(float(x), float(y)) for x, y, colour in uses if int(colour) == place]


def test_every_change_is_in_its_row_and_ours_and_the_papers_have_one_axis() -> None:
    svg = drawn([Change(4.0, paper=-4.0), Change(paper=0.0), Change(-2.0)])
    (above, row), (below, last) = marks(svg, OURS)
    (left, first), (middle, second) = marks(svg, PAPER)
    assert first == row < second < last
    assert left < middle < above
    # -4, 0 and 4, and -2 between: one scale for both
    assert middle - left == pytest.approx(above - middle)
    assert below == pytest.approx((left + middle) / 2)


def test_what_cannot_be_told_is_hollow() -> None:
    one = [Change(4.0, 1.0, 7.0, told=True), Change(), Change()]
    other = [Change(4.0, 1.0, 7.0, told=False), Change(), Change()]
    assert [drawn(changes).count("fill-opacity: 0") for changes in (one, other)] == [0, 1]


def test_the_file_names_every_row_and_both_marks_in_colours_of_its_own() -> None:
    svg = whole(
        ROWS, [Column(name, "points", [Change(1.0)] * 3) for name in ("VQA", "R@1")], ("here", "theirs")
    )
    for text in (*ROWS, "VQA", "R@1", "here", "theirs"):
        assert f">{text}</text>" in svg
    assert COLOURS[OURS] in svg
    assert "var(--" not in svg
