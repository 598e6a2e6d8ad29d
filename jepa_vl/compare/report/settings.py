"""What was held equal, what was tuned, and what answering costs, as the comparison's files say it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jepa_vl.compare.control import ControlSheet, brief
from jepa_vl.compare.plan import Comparison
from jepa_vl.compare.report.document import Block, Cell, Items, Table, Text, Tone
from jepa_vl.compare.report.numbers import NONE, duration

CONTROL, TUNING, COST = "control.json", "tuning.json", "cost.json"


def control(comparison: Comparison, folder: Path) -> list[Block]:
    """The control sheet, and the keys in which the arms differ."""
    try:
        sheet = ControlSheet.load(folder / CONTROL)
    except FileNotFoundError:
        return [
            Text(
                f"**There is no control sheet** ({CONTROL}): nothing says that the arms share what they "
                "should."
            )
        ]
    except ValidationError as error:
        return [Text(f"**{CONTROL} cannot be read**: {error.errors()[0]['msg']}.")]
    arms = [arm.name for arm in comparison.arms if any(arm.name in row.values for row in sheet.rows)]
    about = {arm.name: arm.about or arm.name for arm in comparison.arms}
    tones: dict[str, Tone] = {"refused": "bad", "same": "good"}
    rows: list[list[str | Cell]] = []
    for row in sheet.rows:
        found = [brief(row.values.get(arm, NONE)) for arm in arms]
        same = row.verdict == "same" and len(set(found)) == 1
        rows.append([row.check, found[0] if same else _by_arm(dict(zip(arms, found, strict=True)), about),
                     Cell(row.verdict, tones.get(row.verdict, ""))])  # fmt: skip
    counts = {
        verdict: sum(row.verdict == verdict for row in sheet.rows)
        for verdict in ("same", "listed", "refused")
    }
    words = ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n)
    blocks: list[Block] = [
        Text(
            f"Checked before anything trained: {words}. What is not the same is listed by the recipe, or "
            "refused."
        ),
        Table(["check", "found", "verdict"], rows, words=3),
    ]
    if sheet.refused:
        blocks.append(Items([f"**Refused**: {brief(text)}" for text in sheet.refused]))
    if sheet.differs:
        lines = [[each.key, *(brief(each.values.get(arm, NONE)) for arm in arms)] for each in sheet.differs]
        blocks.append(
            Table(
                ["key", *(about[arm] for arm in arms)],
                lines,
                words=1 + len(arms),
                title="What the arms' recipes say differently",
                folded=True,
            )
        )
    return [*blocks, *([Items(sheet.notes)] if sheet.notes else [])]


def _by_arm(found: Mapping[str, str], about: Mapping[str, str]) -> str:
    return "; ".join(f"{about[arm]}: {value}" for arm, value in found.items())


def tuning(comparison: Comparison, folder: Path) -> list[Block]:
    """Every trial and what was chosen."""
    written = _read(folder / TUNING)
    if comparison.tuning is None:
        return [Text("No key was tuned: every arm has what its recipe says.")]
    if not written:
        return [Text(f"There is no {TUNING}: the arms have what their recipes say.")]
    about = {arm.name: arm.about or arm.name for arm in comparison.arms}
    trials = [trial for trial in written.get("trials", []) if trial["arm"] in about]
    values = list(dict.fromkeys(json.dumps(value) for value in written.get("values", [])))
    chosen = written.get("chosen", {})
    rows: list[list[str | Cell]] = []
    for arm in comparison.arms:
        of_arm = {json.dumps(trial["value"]): trial for trial in trials if trial["arm"] == arm.name}
        if of_arm:
            best = json.dumps(chosen.get(arm.name))
            cells = [_trial(of_arm.get(value), value == best) for value in values]
            rows.append([about[arm.name], *cells, f"{chosen.get(arm.name, NONE)}"])
    seconds = sum(trial.get("train_seconds", 0.0) for trial in trials)
    plan = comparison.tuning
    blocks: list[Block] = [
        Text(
            f"{plan.key} of every arm by one rule: {written.get('rule', 'the highest val/score')}, after "
            f"{100 * plan.budget:g} % of the budget under the schedule of the whole run, with seed "
            f"{plan.seed}, which is none of those compared. The {len(trials)} trials took "
            f"{duration(seconds)}."
        ),
        Table(
            [
                "arm",
                *(f"{json.loads(value):g}" if _is_number(value) else value for value in values),
                "chosen",
            ],
            rows,
        ),
    ]
    warnings = written.get("warnings", [])
    return [*blocks, *([Items(warnings)] if warnings else [])]


def _is_number(value: str) -> bool:
    return isinstance(json.loads(value), int | float)


def _trial(trial: Mapping[str, Any] | None, best: bool) -> Cell:
    if trial is None:
        return Cell(NONE)
    score = trial.get("score")
    if score is None:
        return Cell(str(trial.get("state", NONE)), "bad")
    return Cell(f"**{score:.3f}**" if best else f"{score:.3f}")


def cost(comparison: Comparison, folder: Path) -> list[Block]:
    """What it takes to answer, by part; one row an arm and a setting."""
    written = _read(folder / COST)
    lines = [(arm, row) for arm in comparison.arms for row in _rows(written.get(arm.name))]
    if not lines:
        return []
    keys = list(dict.fromkeys(key for _, row in lines for key in row))
    rows = [[arm.about or arm.name, *(_quantity(row.get(key)) for key in keys)] for arm, row in lines]
    words = 1 + sum(all(isinstance(row.get(key, ""), str) for _, row in lines) for key in keys[:2])
    return [Table(["arm", *(key.replace("_", " ") for key in keys)], rows, words=words)]


def _rows(of_arm: Any) -> Iterator[Mapping[str, Any]]:
    found = of_arm.get("rows", []) if isinstance(of_arm, Mapping) else of_arm or []
    yield from (row for row in found if isinstance(row, Mapping))


def _quantity(value: Any) -> str:
    if value is None:
        return NONE
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
