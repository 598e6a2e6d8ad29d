"""Series of arms: whether a gap grows or shrinks as something widens step by step."""

from __future__ import annotations

from collections.abc import Sequence

from jepa_vl.compare.report.document import Block, Cell, Items, Table, Text, Tone
from jepa_vl.compare.report.numbers import NONE, change, heading
from jepa_vl.compare.statistics.summary import MetricSummary, Summary, Trend, Verdict

TONES: dict[Verdict | None, Tone] = {"better": "good", "worse": "bad"}
WORDS: dict[Verdict | None, str] = {
    "better": "it moves in favour of the arm",
    "worse": "it moves against the arm",
}


def finding(summary: Summary) -> list[Block]:
    """Say of each series and metric how its gap changes from the first step to the last."""
    blocks: list[Block] = []
    for series in dict.fromkeys(each.series for each in summary.trends):
        parts = []
        for metric in summary.metrics:
            steps = steps_of(summary, series, metric)
            if len(steps) > 1:
                _, names = step_names([_about(summary, step) for step in steps])
                gaps = ", ".join(
                    f"{name} {change(step.gap, metric)}" for name, step in zip(names, steps, strict=True)
                )
                last = steps[-1].change
                word = WORDS.get(last.verdict if last else None, "no change can be told")
                parts.append(
                    f"**{heading(metric)}**: {gaps}; from first to last {change(last, metric)}, {word}."
                )
        if parts:
            blocks += [Text(f"**Gaps along {series}**, arm minus what it is compared with:"), Items(parts)]
    return blocks


def table(summary: Summary) -> list[Block]:
    """Return a table for each series: each gap, and what changes against the first step."""
    blocks: list[Block] = []
    for series in dict.fromkeys(each.series for each in summary.trends):
        rows: list[list[str | Cell]] = []
        for metric in summary.metrics:
            for step in steps_of(summary, series, metric):
                moved = step.change
                rows.append(
                    [
                        heading(metric),
                        _about(summary, step),
                        Cell(change(step.gap, metric), TONES.get(step.gap.verdict, "")),
                        Cell(change(moved, metric), TONES.get(moved.verdict, "")) if moved else NONE,
                        str(len(step.gap.values)),
                    ]
                )
        headings = ["metric", "arm", "gap [95 %]", "minus the gap of the first step", "seeds"]
        blocks.append(Table(headings, rows, words=2, title=series))
    return blocks


def steps_of(summary: Summary, series: str, metric: MetricSummary) -> list[Trend]:
    """Return the steps of a series that have this metric, in order."""
    return [each for each in summary.trends if (each.series, each.metric) == (series, metric.name)]


def step_names(abouts: Sequence[str]) -> tuple[str, list[str]]:
    """Split words about arms into what all begin with and the rest, before and after the first comma.

    ``VL-JEPA, 1 wording`` and ``VL-JEPA, 12 wordings`` give ``VL-JEPA`` and the two wordings; words of which
    not all begin with the same stay whole.
    """
    names = {about.partition(", ")[0] for about in abouts}
    if len(names) > 1 or not all(", " in about for about in abouts):
        return "", list(abouts)
    return names.pop(), [about.partition(", ")[2] for about in abouts]


def _about(summary: Summary, step: Trend) -> str:
    return summary.arm(step.arm).about
