"""The order of a report: the finding, the control, the curves, the numbers, their cost, and the runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from jepa_vl.compare.plan import Arm, Comparison
from jepa_vl.compare.report import charts, resources, settings, tables, trends
from jepa_vl.compare.report.ablation import ablation, has_paper
from jepa_vl.compare.report.changes import changes
from jepa_vl.compare.report.document import Block, Document, Section, Text
from jepa_vl.compare.report.examples import Frames, predictions
from jepa_vl.compare.report.finding import finding
from jepa_vl.compare.report.paper_fig3 import CURVES, SAMPLES
from jepa_vl.compare.report.series_charts import along
from jepa_vl.compare.statistics.crossing import first_reached
from jepa_vl.compare.statistics.gather import Gathered
from jepa_vl.compare.statistics.summary import Summary

METHOD = (
    "Differences are paired: seed by seed, because the order of the training data is the same for all arms, "
    "and test episode by test episode. Intervals are of 2,000 draws of seeds and, at once, of whole "
    "episodes, the same for all arms, widened to what so few seeds demand. Nothing is corrected for the "
    "number of metrics. A difference whose interval holds 0 is not claimed."
)
EFFICIENCY = (
    "Where the mean curve first comes to a quality, with straight lines between budgets over the logarithm; "
    "intervals are of the same draws as those of the differences. An end of 0 means that the arm may not "
    "come there within its budget, ∞ that the reference may not. ≥ and ≤ mark a curve that is there at its "
    "first budget already."
)


def content(gathered: Gathered, summary: Summary, *, figures: bool, frames: Frames) -> Document:
    """Return the whole report.

    Args:
        gathered: The runs.
        summary: Their numbers.
        figures: Whether curves can be drawn.
        frames: Reads frames of examples.
    """
    plan, folder = gathered.comparison, gathered.folder
    sections = [
        Section("", finding(summary)),
        Section("At the full budget", [tables.at_full_budget(summary), Text(METHOD, dim=True)]),
        Section("Along a series", [*(along(summary) if figures else []), *trends.table(summary)]),
        Section("Against the paper, row by row", _against_paper(summary, figures=figures)),
        Section("What was held equal", settings.control(plan, folder)),
        Section("Curves", _curves(summary) if figures else []),
        Section(
            "At every budget", [tables.at_every_budget(summary, metric) for metric in tables.growing(summary)]
        ),
        Section("Sample efficiency", _efficiency(summary)),
        Section("Parameters", _present(resources.parameters(summary))),
        Section("Training cost", [resources.training(summary)]),
        Section("Inference cost", settings.cost(plan, folder)),
        Section("Tuning", settings.tuning(plan, folder)),
        Section("The paper's curves", _paper(plan, summary, figures=figures)),
        Section("Predictions side by side", predictions(gathered, frames)),
        Section("Runs", [resources.runs(summary)]),
    ]
    arms = " · ".join(arm.about or arm.name for arm in plan.arms[:4])
    more = f" and {len(plan.arms) - 4} more" if len(plan.arms) > 4 else ""
    done = sum(run.state == "finished" for run in summary.runs)
    about = (
        f"{arms}{more} — {_number(len(plan.seeds), 'seed')}, {_number(len(plan.budgets), 'budget')}, "
        f"{done} of {len(summary.runs)} runs finished · {plan.file}"
    )
    return Document(f"Comparison: {plan.name}", about, [section for section in sections if section.blocks])


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _present(*blocks: Block | None) -> list[Block]:
    return [block for block in blocks if block is not None]


def _curves(summary: Summary) -> list[Block]:
    return _present(*(charts.curves(summary, axis) for axis in charts.AXES))


def _against_paper(summary: Summary, *, figures: bool) -> list[Block]:
    if not has_paper(summary):
        return []
    words, *tables = ablation(summary)
    return _present(words, changes(summary) if figures else None, *tables)


def _efficiency(summary: Summary) -> list[Block]:
    table = tables.efficiency(summary)
    return [] if table is None else [table, Text(EFFICIENCY, dim=True)]


def _paper(plan: Comparison, summary: Summary, *, figures: bool) -> list[Block]:
    kinds = kinds_of(plan.arms)
    if len(plan.budgets) < 2 or kinds.keys() != {"jepa", "token"}:
        return []
    drawn = charts.beside_paper(summary, kinds) if figures else None
    return _present(Text(_paper_words()), drawn)


def _paper_words() -> str:
    """Say the paper's own ratios, by the same reading of its curves."""
    parts = []
    x = np.array(SAMPLES)
    for title, curve in CURVES.items():
        jepa, token = np.array([curve["jepa"]]), np.array([curve["token"]])
        need = first_reached(x, jepa, token[:, -1])[0]
        parts.append(
            f"{title}: {jepa[0, -1]:.1f} against {token[0, -1]:.1f} at 15 M samples, and the VLM's last "
            f"value after {need / 1e6:.1f} M, {x[-1] / need:.0f} times fewer"
        )
    return "The paper's Fig 3, read in the same way: " + "; ".join(parts) + "."


def kinds_of(arms: Iterable[Arm]) -> Mapping[str, str]:
    """Return the first arm of each of the two objectives that the paper compares."""
    found: dict[str, str] = {}
    for arm in arms:
        words = str((arm.values.get("objective") or {}).get("class_path", arm.name)).lower()
        for kind in ("jepa", "token"):
            if kind in words.rpartition(".")[2]:
                found.setdefault(kind, arm.name)
    return found


def figures_folder(folder: Path) -> Path:
    """Where the figures of ``report.md`` are."""
    return folder / "figures"
