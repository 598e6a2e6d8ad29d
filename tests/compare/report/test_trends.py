"""What the report says of a series: every gap and every change with its interval, and no word without one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jepa_vl.compare.report.document import Text
from jepa_vl.compare.report.finding import finding
from jepa_vl.compare.report.series_charts import along
from jepa_vl.compare.report.trends import table
from jepa_vl.compare.statistics.gather import gather
from jepa_vl.compare.statistics.summarise import summarise
from jepa_vl.compare.statistics.summary import Estimate, Summary, Trend, Verdict

MakeUp = Callable[..., Any]
METRIC = "VQA, accuracy"


def estimate(value: float, verdict: Verdict, *, width: float = 0.02) -> Estimate:
    return Estimate(
        arm="jepa", metric=METRIC, budget=1.0, value=value, low=value - width, high=value + width,
        over="seeds and episodes", values={1: value, 2: value}, n_episodes=9, verdict=verdict,
    )  # fmt: skip


@pytest.fixture
def series(made_up: MakeUp) -> Summary:
    """Two steps of the series wordings: a gap of 5 points, and one of 12."""
    made = made_up(episodes=10, seeds=(1, 2, 3), diverged=())
    summary = summarise(gather(made.comparison(), made.write()))
    first = Trend(series="wordings", metric=METRIC, arm="jepa", gap=estimate(0.05, "better"), change=None)
    last = Trend(
        series="wordings", metric=METRIC, arm="jepa", gap=estimate(0.12, "better"),
        change=estimate(0.07, "better"),
    )  # fmt: skip
    return summary.model_copy(update={"trends": [first, last]})


def told(summary: Summary) -> str:
    blocks = finding(summary)
    lines = [[block.text] if isinstance(block, Text) else getattr(block, "texts", []) for block in blocks]
    return " ".join(line for each in lines for line in each)


def test_the_finding_of_a_series_is_how_its_gap_changes(series: Summary) -> None:
    assert (
        "**Gaps along wordings**, arm minus what it is compared with: **VQA, accuracy, %**: VL-JEPA +5.0 "
        "[+3.0, +7.0], VL-JEPA +12.0 [+10.0, +14.0]; from first to last +7.0 [+5.0, +9.0], it moves in "
        "favour of the arm"
    ) in told(series)


def test_a_change_whose_interval_holds_zero_is_not_claimed(series: Summary) -> None:
    series.trends[-1].change = estimate(0.01, "cannot be told")
    assert "no change can be told" in told(series)
    assert "in favour" not in told(series)


def test_the_table_has_every_step_and_no_change_of_the_first(series: Summary) -> None:
    (found,) = table(series)
    rows = [[getattr(cell, "text", cell) for cell in row] for row in found.rows]  # type: ignore[union-attr]
    assert [row[2:4] for row in rows] == [
        ["+5.0 [+3.0, +7.0]", "–"],
        ["+12.0 [+10.0, +14.0]", "+7.0 [+5.0, +9.0]"],
    ]


def test_a_picture_has_both_sides_of_the_gap_at_every_step(series: Summary) -> None:
    arms = [series.arm("jepa"), series.arm("token")]
    steps = [
        arm.model_copy(
            update={"name": f"{arm.name}-{n}", "about": f"{about}, {n} wordings", "against": f"token-{n}"}
        )
        for arm, about in zip(arms, ("VL-JEPA", "twin"), strict=True)
        for n in (1, 12)
    ]
    means = [
        estimate(value, "better").model_copy(update={"arm": arm.name})
        for arm, value in zip(steps, (0.8, 0.7, 0.75, 0.25), strict=True)
    ]
    trends = [
        each.model_copy(update={"arm": arm})
        for each, arm in zip(series.trends, ("jepa-1", "jepa-12"), strict=True)
    ]
    (figures,) = along(series.model_copy(update={"arms": steps, "means": means, "trends": trends}))
    assert figures.legend == [("VL-JEPA", 0), ("twin", 1)]
    (panel,) = figures.panels
    assert panel.title == METRIC
    assert panel.alt == (
        "VQA, accuracy along wordings (1 wordings, 12 wordings): VL-JEPA 80, 70; twin 75, 25"
    )
    assert ">12 wordings<" in panel.svg
    assert ">12 wordings<" in figures.whole
    assert ">twin<" in figures.whole


def test_arms_whose_words_have_no_common_beginning_are_named_in_full(series: Summary) -> None:
    steps = [
        series.arm("jepa").model_copy(update={"name": name, "about": about, "against": "token"})
        for name, about in (("a", "plain words"), ("b", "many words"))
    ]
    means = [estimate(0.5, "better").model_copy(update={"arm": arm}) for arm in ("a", "b", "token")]
    trends = [each.model_copy(update={"arm": arm}) for each, arm in zip(series.trends, "ab", strict=True)]
    arms = [*steps, series.arm("token")]
    (figures,) = along(series.model_copy(update={"arms": arms, "means": means, "trends": trends}))
    assert figures.legend == [("arms of the series", 0), ("compared with", 1)]
    assert "(plain words, many words)" in figures.panels[0].alt


def test_a_comparison_without_a_series_has_no_such_table_and_no_picture(series: Summary) -> None:
    without = series.model_copy(update={"trends": []})
    assert table(without) == []
    assert along(without) == []
