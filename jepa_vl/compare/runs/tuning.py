"""Each arm's value of one key, by one rule: the best ``val/score`` at a part of the budget."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from filelock import FileLock

from jepa_vl.compare.budgets import step_of
from jepa_vl.compare.plan import Arm, Comparison
from jepa_vl.compare.records import comparison_folder
from jepa_vl.compare.runs.child import run_child
from jepa_vl.compare.runs.job import Job, data_hash, with_seed
from jepa_vl.compare.runs.lock import at_it
from jepa_vl.compare.runs.reuse import reuse
from jepa_vl.compare.runs.trial import TrialRecord, read_trial
from jepa_vl.compare.runs.worker import BUSY, report_failure
from jepa_vl.errors import UserError
from jepa_vl.recipe.document import Recipe
from jepa_vl.recipe.merge import with_value
from jepa_vl.recipe.resolve import resolve
from jepa_vl.whole_file import write_whole

log = logging.getLogger(__name__)

FILE = "tuning.json"
RULE = "the highest val/score; of equal ones the smaller value"
POLL = 5.0  # seconds between two looks at a trial that another process does


def tune(comparison: Comparison, arms: Sequence[str], *, command: str, say: Callable[[str], None]) -> None:
    """Try the values for each of the arms, and write all scores and what was chosen to ``tuning.json``.

    Finished trials are taken as they are.

    Args:
        comparison: With `Comparison.tuning`; nothing is done for one without.
        arms: Names of those that are tuned.
        command: What was typed.
        say: Takes lines for the user.

    Raises:
        KeyboardInterrupt: Ctrl-C; the same call goes on.
        UserError: No trial of an arm gave a score.
    """
    if comparison.tuning is None:
        return
    jobs = {name: trials(comparison, comparison.arm(name), command) for name in arms}
    _do_all([job for of_arm in jobs.values() for job in of_arm], say)
    found = {name: [_record(job) for job in of_arm] for name, of_arm in jobs.items()}
    chosen = {name: choose(name, records) for name, records in found.items()}
    warnings = [text for name in arms if (text := _edge(comparison, name, chosen[name]))]
    for text in warnings:
        log.warning("%s", text)
    first = jobs[arms[0]][0]
    steps = step_of(first.budgets[-1], int(first.values["trainer"]["max_steps"]))
    _write(comparison, found, chosen, steps, warnings)
    for name, value in chosen.items():
        say(f"{name}: {comparison.tuning.key} {value}")


def trials(comparison: Comparison, arm: Arm, command: str) -> list[Job]:
    """Return a job for each value that is tried."""
    tuning = comparison.tuning
    assert tuning is not None
    jobs = []
    for value in tuning.values:
        name = f"compare/{comparison.name}/tuning/{arm.name}/{_folder(value)}"
        values = with_key(arm.values, tuning.key, value)
        jobs.append(
            Job(
                name=name,
                arm=arm.name,
                seed=tuning.seed,
                values=with_seed(values, tuning.seed) | {"name": name},
                budgets=(tuning.budget,),
                trial=value,
                data_hash=data_hash(arm.values),
                command=command,
            )
        )
    return jobs


def choose(arm: str, records: Sequence[TrialRecord]) -> Any:
    """Return the value with the highest score, the smaller one of equals.

    Raises:
        UserError: None has a score.
    """
    scored = [(record.score, record.value) for record in records if record.score is not None]
    if not scored:
        reasons = "; ".join(f"{record.value}: {record.state}: {record.message}" for record in records)
        raise UserError(f"no trial of arm '{arm}' gave a val/score ({reasons})")
    best = max(score for score, _ in scored)
    return min((value for score, value in scored if score == best), key=_order)


def with_chosen(comparison: Comparison, chosen: dict[str, Any]) -> Comparison:
    """Set the tuned key in each arm that has a value for it."""
    assert comparison.tuning is not None
    key = comparison.tuning.key
    arms = tuple(
        replace(
            arm,
            values=with_key(arm.values, key, chosen[arm.name]),
            own=tuple(dict.fromkeys([*arm.own, key])),
        )
        if arm.name in chosen
        else arm
        for arm in comparison.arms
    )
    return replace(comparison, arms=arms)


def as_tuned(comparison: Comparison) -> Comparison:
    """Set what ``tuning.json`` says was chosen; a comparison that was not tuned is returned as it is."""
    path = comparison_folder(comparison.name) / FILE
    if comparison.tuning is None or not path.exists():
        return comparison
    written = json.loads(path.read_text(encoding="utf-8"))
    return (
        with_chosen(comparison, written["chosen"]) if written["key"] == comparison.tuning.key else comparison
    )


def with_key(values: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Set a dotted key of a resolved recipe, as the command line would."""
    return resolve(with_value(Recipe(values), key, value, "compare.tune"))


def _ended(job: Job) -> bool:
    record = read_trial(job)
    return record is not None and record.state != "failed"


def _do_all(jobs: Sequence[Job], say: Callable[[str], None]) -> None:
    """Do the trials that have not ended; those that other processes are at are waited for at last."""
    left = [job for job in jobs if not _ended(job)]
    total = len(left)
    told: set[str] = set()
    while left := [job for job in left if not _ended(job)]:
        holders = {job.label: at_it(job.folder) for job in left}
        free = next((job for job in left if holders[job.label] is None), None)
        if free is not None:
            say(f"trial {total - len(left) + 1} of {total} · {free.label}")
            if _do(free, say):
                left.remove(free)
            continue
        for label in holders.keys() - told:
            say(f"{label} · waiting for {holders[label]}, which is at it")
        told |= holders.keys()
        time.sleep(POLL)


def _do(job: Job, say: Callable[[str], None]) -> bool:
    """Do a trial; returns False where another process was quicker to begin it."""

    def prefixed(line: str) -> None:
        say(f"{job.label} · {line}")

    if (found := reuse(job)) is not None:
        prefixed(f"the same as {found}, which is finished: reused")
        return True
    status = run_child(job, prefixed)
    if status < 0:
        report_failure(job, killed(status))
    return status != BUSY


def killed(status: int) -> str:
    """Say what ended a process that could not say it itself; ``status`` is minus the signal."""
    more = ", as happens when memory runs out" if status == -9 else ""
    return f"its process was ended by signal {-status}{more}"


def _record(job: Job) -> TrialRecord:
    record = read_trial(job)
    if record is None:
        raise UserError(f"{job.label} left no result in {job.folder}")
    return record


def _edge(comparison: Comparison, arm: str, value: Any) -> str:
    """Say that the best value may lie beyond those that were tried."""
    assert comparison.tuning is not None
    tried = sorted(comparison.tuning.values, key=_order)
    if len(tried) < 3 or value not in (tried[0], tried[-1]):
        return ""
    which = "smallest" if value == tried[0] else "largest"
    return (
        f"{arm}: the best {comparison.tuning.key} is {value}, the {which} that was tried; a better one may "
        "lie beyond it"
    )


def _order(value: Any) -> tuple[int, float, str]:
    """Numbers by size, before words by letters."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
    return (0, float(value), "") if number else (1, 0.0, str(value))


def _folder(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return "".join(c if c.isalnum() or c in "-+._" else "-" for c in text)


def _write(
    comparison: Comparison,
    found: dict[str, list[TrialRecord]],
    chosen: dict[str, Any],
    steps: int,
    warnings: list[str],
) -> None:
    """Write ``tuning.json``; what other processes wrote of other arms stays."""
    tuning = comparison.tuning
    assert tuning is not None
    path = comparison_folder(comparison.name) / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    how = {"key": tuning.key, "values": list(tuning.values), "budget": tuning.budget, "seed": tuning.seed}
    with FileLock(path.with_suffix(".lock")):  # a process for each arm may end its trials just now
        written = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if any(written.get(name) != value for name, value in how.items()):
            written = {}  # arms tuned in another way do not belong beside these
        names = {arm.name for arm in comparison.arms} - found.keys()
        others = [trial for trial in written.get("trials", []) if trial["arm"] in names]
        kept = {arm: value for arm, value in written.get("chosen", {}).items() if arm in names}
        content = how | {
            "steps": steps,
            "rule": RULE,
            "trials": [*others, *(record.model_dump() for records in found.values() for record in records)],
            "chosen": kept | chosen,
            "warnings": [w for w in written.get("warnings", []) if w.split(":")[0] in kept] + warnings,
        }
        write_whole(path, json.dumps(content, indent=2) + "\n")
