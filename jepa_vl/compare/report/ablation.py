"""Rows of an ablation beside the paper's: the change each makes, and whether the two agree in sign."""

from __future__ import annotations

from typing import Literal

from jepa_vl.compare.report.document import Block, Cell, Table, Text, Tone
from jepa_vl.compare.report.numbers import NONE, change, label, mean
from jepa_vl.compare.statistics.summary import Estimate, MetricSummary, Summary, Verdict

Agreement = Literal["agree", "disagree", "cannot be told", ""]
TONES: dict[Agreement, Tone] = {"agree": "good", "disagree": "bad"}
VERDICTS: dict[Verdict | None, Tone] = {"better": "good", "worse": "bad"}


def has_paper(summary: Summary) -> bool:
    """Whether the paper's change of some arm is known for some metric."""
    return any(
        paper_change(summary, arm.name, metric.name) is not None
        for arm in summary.arms
        for metric in summary.metrics
    )


def paper_change(summary: Summary, arm: str, metric: str) -> float | None:
    """Return the paper's value of the arm minus that of what it is compared with, as it prints them."""
    against = summary.arm(arm).against
    if not against:
        return None
    own, other = (summary.arm(name).paper.get(metric) for name in (arm, against))
    return None if own is None or other is None else own - other


def agreement(summary: Summary, arm: str, metric: MetricSummary) -> Agreement:
    """Compare the signs; ``cannot be told`` where our interval holds 0, empty where the paper has none."""
    theirs = paper_change(summary, arm, metric.name)
    ours = summary.difference(arm, metric.name, summary.budgets[-1])
    if theirs is None or ours is None:
        return ""
    if ours.verdict == "cannot be told" or theirs == 0:
        return "cannot be told"
    return "agree" if (ours.value > 0) == (theirs > 0) else "disagree"


def ablation(summary: Summary) -> list[Block]:
    """Return how often the signs agree, and a table for each metric."""
    blocks: list[Block] = []
    told: list[Agreement] = []
    for metric in summary.metrics:
        rows: list[list[str | Cell]] = []
        for arm in summary.begun:
            own = summary.mean(arm.name, metric.name, summary.budgets[-1])
            gap = summary.difference(arm.name, metric.name, summary.budgets[-1])
            theirs = paper_change(summary, arm.name, metric.name)
            found = agreement(summary, arm.name, metric)
            told += [found] if found else []
            tone = VERDICTS.get(gap.verdict, "") if gap else ""
            rows.append(
                [
                    label(summary, arm),
                    mean(own, metric),
                    Cell(change(gap, metric), tone),
                    NONE if theirs is None else f"{theirs:+.1f}".replace("-", "−"),
                    Cell(found or NONE, TONES.get(found, "")),
                    _seeds(own),
                ]
            )
        if len(rows) > 1:
            headings = ["arm", "here [95 %]", "change [95 %]", "paper's change", "signs", "seeds"]
            blocks.append(Table(headings, rows, title=metric.name))
    counts = [f"{told.count(word)} {text}" for word, text in _WORDS if told.count(word)]
    summed = f"Of {len(told)} changes that the paper reports too: {', '.join(counts)}. " if told else ""
    note = "The paper's are of single runs, on other data and at another size; it gives no intervals."
    return [Text(summed + note), *blocks]


_WORDS: tuple[tuple[Agreement, str], ...] = (
    ("agree", "agree in sign"),
    ("disagree", "disagree"),
    ("cannot be told", "cannot be told, because our interval holds 0"),
)


def _seeds(estimate: Estimate | None) -> str:
    return NONE if estimate is None else str(len(estimate.values))
