"""The proof of control: what all arms of a comparison share, checked before anything trains."""

from __future__ import annotations

import gc
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from jepa_vl.checkpoint import checkpoint_file
from jepa_vl.compare.control.checks import decides
from jepa_vl.compare.control.observe import NONE, Observed, observe
from jepa_vl.compare.difference import Difference, differences, folded, within
from jepa_vl.compare.plan import Comparison
from jepa_vl.data.catalogue import Catalogue
from jepa_vl.errors import UserError, did_you_mean
from jepa_vl.whole_file import write_whole

log = logging.getLogger(__name__)
_HASH = re.compile(r"\b[0-9a-f]{20,}\b")
Verdict = Literal["same", "listed", "refused"]
FILE = "control.json"


class Row(BaseModel):
    """One check.

    Attributes:
        check: What is looked at.
        values: Arm → what was found.
        verdict: ``same`` for all arms; ``listed`` where it differs as the recipe says; ``refused``.
    """

    model_config = ConfigDict(extra="forbid")

    check: str
    values: dict[str, str]
    verdict: Verdict


class Differing(BaseModel):
    """A key of the recipes in which arms differ.

    Attributes:
        key: Dotted.
        values: Arm → what its recipe says.
    """

    model_config = ConfigDict(extra="forbid")

    key: str
    values: dict[str, str]


class ControlSheet(BaseModel):
    """What was checked before anything trained: ``control.json``.

    Attributes:
        comparison: Its name.
        rows: The checks.
        differs: What the arms' recipes say differently: what is compared.
        refused: Why it must not be run; empty where it may.
        notes: What a reader should know.
    """

    model_config = ConfigDict(extra="forbid")

    comparison: str
    rows: list[Row]
    differs: list[Differing]
    refused: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)

    def save(self, path: str | Path) -> Path:
        """Write it as JSON; returns the file."""
        path = Path(path)
        write_whole(path, self.model_dump_json(indent=1))
        return path

    @classmethod
    def load(cls, path: str | Path) -> ControlSheet:
        """Read what `save` wrote."""
        return cls.model_validate_json(Path(path).read_text(encoding="utf-8"))

    def row(self, check: str) -> Row:
        """Return a check by its name; `KeyError` where there is none."""
        return {row.check: row for row in self.rows}[check]


def control_sheet(comparison: Comparison, waiting: Mapping[str, str] | None = None) -> ControlSheet:
    """Build every arm, one after another, and compare what must be equal.

    Args:
        comparison: Whose arms are looked at.
        waiting: Arm → why it cannot be built yet; those are left out, and the sheet notes it.

    Raises:
        UserError: An arm cannot be built or its data cannot be read.
    """
    waiting = waiting or {}
    built = replace(comparison, arms=tuple(arm for arm in comparison.arms if arm.name not in waiting))
    seen: dict[str, Observed] = {}
    read: list[Catalogue] = []
    for number, arm in enumerate(built.arms, start=1):
        log.info("proving arm %d of %d · %s", number, len(built.arms), arm.name)
        seen[arm.name] = observe(comparison, arm, read)
        gc.collect()  # before the next one is built: objectives refer to themselves
    sheet = judged(built, seen)
    left_out = [f"{arm}: not looked at and not run: {why}" for arm, why in waiting.items()]
    return sheet.model_copy(update={"notes": [*sheet.notes, *left_out]})


def without_start(comparison: Comparison) -> dict[str, str]:
    """Return the arms whose ``init_from`` is not there (yet) → what is missing."""
    missing = {}
    for arm in comparison.arms:
        if start := arm.values.get("init_from"):
            try:
                checkpoint_file(start)
            except UserError as error:
                missing[arm.name] = str(error)
    return missing


def judged(comparison: Comparison, seen: Mapping[str, Observed]) -> ControlSheet:
    """Compare what was seen of each arm, and say which differences the recipe lists."""
    found = differences([arm.values for arm in comparison.arms])
    listed = [each.key for each in found if within(each.key, comparison.varies)]
    rows = []
    for check in dict.fromkeys(check for each in seen.values() for check in each.values):
        values = {arm: each.values.get(check, NONE) for arm, each in seen.items()}
        rows.append(Row(check=check, values=values, verdict=_verdict(check, values, listed)))
    refused = [_refusal(row, found) for row in rows if row.verdict == "refused"]
    return ControlSheet(
        comparison=comparison.name,
        rows=rows,
        differs=[
            Differing(key=each.key, values=dict(zip(seen, each.values, strict=True)))
            for each in folded(found)
        ],
        refused=[*refused, *_unknown_sets(comparison, seen)],
        notes=_notes(comparison, seen),
    )


def _verdict(check: str, values: Mapping[str, str], listed: Sequence[str]) -> Verdict:
    if len(set(values.values())) == 1:
        return "same"
    return "listed" if any(decides(key, check) for key in listed) else "refused"


def _refusal(row: Row, found: Sequence[Difference]) -> str:
    told = "; ".join(f"{arm}: {brief(value)}" for arm, value in row.values.items())
    keys = [each.key for each in found if each.key != "objective" and decides(each.key, row.check)]
    why = (
        f"list {', '.join(keys)} under compare.varies to allow it"
        if keys
        else "the recipes do not differ there, so a part of an arm behaves differently by itself"
    )
    return f"{row.check} differs ({told}): {why}"


def _unknown_sets(comparison: Comparison, seen: Mapping[str, Observed]) -> list[str]:
    found = []
    for metric in comparison.metrics:
        for arm, each in seen.items():
            if metric.sample_set not in each.test_sets:
                found.append(
                    f"compare.metrics.{metric.name}: arm '{arm}' has no test set '{metric.sample_set}'; "
                    f"{did_you_mean(metric.sample_set, each.test_sets)}"
                )
                break
    return found


def _notes(comparison: Comparison, seen: Mapping[str, Observed]) -> list[str]:
    notes = []
    passes = {arm: f"{each.passes:.2f}" for arm, each in seen.items() if each.passes > 1}
    for number in dict.fromkeys(passes.values()):
        arms = ", ".join(arm for arm, own in passes.items() if own == number)
        notes.append(
            f"{arms}: the whole budget is larger than the data: {number} passes through the training samples"
        )
    for arm in comparison.arms:
        if arm.decoder:
            notes.append(
                f"{arm.name}: a decoder is trained on each finished run, by {Path(arm.decoder).name}"
            )
    return notes


def brief(value: str) -> str:
    """Shorten the hashes in a value, for people to read."""
    return _HASH.sub(lambda found: found.group()[:10], value)
