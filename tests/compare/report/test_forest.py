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


def test_a_row_far_beyond_the_others_is_an_arrow_with_its_value_and_they_keep_their_scale() -> None:
    near = [Change(-4.0, -5.0, -3.0, paper=-8.0), Change(2.0, 1.0, 3.0), Change(-1.0, -2.0, 0.5)]
    far = Change(-92.4, -94.0, -90.0)
    rows = [*ROWS, "collapsed"]

    def svg(changes: Sequence[Change]) -> str:
        return panel(rows[: len(changes)], [Column("VQA", "points", changes)])

    def apart(changes: Sequence[Change]) -> float:
        first, second, *_ = sorted(marks(svg(changes), OURS), key=lambda place: place[1])
        return second[0] - first[0]

    assert apart([*near, far]) > 0.5 * apart(near) > 0
    assert ">−92.4</text>" in svg([*near, far])
    assert "−92.4" not in svg(near)
    # the paper's stays inside, and a value that is only the largest is not far
    assert len(marks(svg([*near, far]), PAPER)) == 1
    assert "−9.0</text>" not in svg([*near, Change(-9.0, -10.0, -8.0)])
