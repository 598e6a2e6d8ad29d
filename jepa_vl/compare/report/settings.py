"""What was held equal, what was tuned, and what answering costs, as the comparison's files say it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jepa_vl.compare.control.proof import ControlSheet, brief
from jepa_vl.compare.costs.rows import CostRow, InferenceCosts
from jepa_vl.compare.plan import Comparison
from jepa_vl.compare.report.document import Block, Cell, Items, Table, Text, Tone
from jepa_vl.compare.report.numbers import NONE, duration, short

#: Part, batch, frames and candidates.
Size = tuple[str, int, int | None, int | None]
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
    """What it takes to answer, by part: milliseconds and operations of a sample."""
    try:
        costs = InferenceCosts.load(folder / COST).root
    except FileNotFoundError:
        return []
    except ValidationError as error:
        return [Text(f"**{COST} cannot be read**: {error.errors()[0]['msg']}.")]
    arms = [arm for arm in comparison.arms if arm.name in costs and costs[arm.name].rows]
    found = {(arm.name, _size(row)): row for arm in arms for row in costs[arm.name].rows}
    sizes = list(dict.fromkeys(size for _, size in found))
    order = list(dict.fromkeys(part for part, *_ in sizes))
    sizes.sort(key=lambda size: order.index(size[0]))  # stable: a part's sizes stay in their order
    words = (
        "Milliseconds and operations of a sample, medians of several runs; candidates are embedded once "
        "for all samples."
    )
    blocks: list[Block] = [Text(words)]
    for batch in dict.fromkeys(size[1] for size in sizes):
        rows = [
            [size[0], *_numbers(size[2:]), *(_cost(found.get((arm.name, size))) for arm in arms)]
            for size in sizes
            if size[1] == batch
        ]
        headings = ["part", "frames", "candidates", *(arm.about or arm.name for arm in arms)]
        blocks.append(Table(headings, rows, title=f"batch of {batch}", folded=len(blocks) > 1))
    return blocks if found else []


def _numbers(values: Sequence[int | None]) -> list[str]:
    return ["" if value is None else str(value) for value in values]


def _size(row: CostRow) -> Size:
    """Return what makes rows of two arms comparable; what thinks has another name in each."""
    part = "predictor or prefix" if row.part in ("predictor", "prefix") else row.part
    return part, row.batch, row.frames, row.candidates


def _cost(row: CostRow | None) -> str:
    if row is None:
        return NONE
    time = f"{row.milliseconds:.3g} ms" if row.milliseconds < 1000 else f"{row.milliseconds / 1000:.3g} s"
    return ", ".join(filter(None, (time, short(row.flops) if row.flops else "", row.note)))


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
