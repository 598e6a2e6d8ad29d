"""Runs a comparison: every arm with every seed, each in a process of its own; finished runs are reused."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from jepa_vl.compare.plan import Arm, Comparison
from jepa_vl.compare.records import RunRecord, comparison_folder, run_name
from jepa_vl.compare.runs.child import run_child
from jepa_vl.compare.runs.decoder import decoder_finished, decoder_values
from jepa_vl.compare.runs.job import Job, data_hash, with_seed
from jepa_vl.compare.runs.lock import at_it
from jepa_vl.compare.runs.milestones import milestones
from jepa_vl.compare.runs.progress import Progress
from jepa_vl.compare.runs.reuse import reuse
from jepa_vl.compare.runs.run_state import FINAL, read_record
from jepa_vl.compare.runs.tuning import killed
from jepa_vl.compare.runs.worker import BUSY, report_failure

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Done:
    """How a run stands after `run`.

    Attributes:
        arm: Name of the arm.
        seed: The seed.
        state: As in its record; ``elsewhere`` where another process is at it.
        message: Why it failed or diverged, or who is at it.
    """

    arm: str
    seed: int
    state: str
    message: str = ""


def run(
    comparison: Comparison,
    arms: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    *,
    command: str = "",
    say: Callable[[str], None] = log.info,
) -> list[Done]:
    """Do every run that is not finished, whole seeds first, and say how each stands.

    A run that fails does not stop the others. A run that another process is at is left to it.

    Args:
        comparison: What is run; its arms have the values that were chosen for them.
        arms: Names of the arms; all by default.
        seeds: All by default.
        command: What was typed, for the results.
        say: Takes lines for the user.

    Raises:
        KeyboardInterrupt: Ctrl-C, after the run that was under way has saved what it has; the same call
            goes on.
        UserError: The data cannot be read, or a decoder's recipe is wrong.
    """
    jobs = plan(comparison, arms, seeds, command)
    left = [job for job in jobs if not finished(job)]
    if len(left) < len(jobs):
        say(f"{len(jobs) - len(left)} of {len(jobs)} runs are finished and are reused")
    progress = Progress([job.arm for job in left])
    done: dict[str, Done] = {}
    with ended_by_signal():
        for number, job in enumerate(left):
            say(progress.line(number, job.label))
            began = time.monotonic()
            done[job.name] = _do(job, say)
            progress.done(job.arm, time.monotonic() - began)
    warn_of_mixed_machines(comparison)
    return [done.get(job.name) or _done(job) for job in jobs]


def plan(
    comparison: Comparison, arms: Sequence[str] | None, seeds: Sequence[int] | None, command: str = ""
) -> list[Job]:
    """Return the jobs in the order in which they are done: seed by seed, arm by arm.

    Raises:
        UserError: The data cannot be read, or a decoder's recipe is wrong.
    """
    chosen = [comparison.arm(name) for name in arms or [arm.name for arm in comparison.arms]]
    return [_job(comparison, arm, seed, command) for seed in seeds or comparison.seeds for arm in chosen]


def _job(comparison: Comparison, arm: Arm, seed: int, command: str) -> Job:
    name = run_name(comparison.name, arm.name, seed)
    values = with_seed(arm.values, seed) | {"name": name}
    return Job(
        name=name,
        arm=arm.name,
        seed=seed,
        values=values,
        budgets=comparison.budgets,
        decoder=decoder_values(arm.decoder, name, values) if arm.decoder else None,
        data_hash=data_hash(arm.values),
        command=command,
    )


def finished(job: Job) -> bool:
    """Whether there is nothing left to do of a run, as it is now in the recipe."""
    record = read_record(job.folder)
    if record is None or record.key != job.key or record.state not in FINAL:
        return False
    if milestones(job.folder / "checkpoints"):
        return False
    return job.decoder is None or record.state == "diverged" or decoder_finished(job)


def _do(job: Job, say: Callable[[str], None]) -> Done:
    def prefixed(line: str) -> None:
        say(f"{job.label} · {line}")

    if (holder := at_it(job.folder)) is not None:
        prefixed(f"{holder} is at it; left to it")
        return Done(job.arm, job.seed, "elsewhere", str(holder))
    if not finished(job) and (found := reuse(job)) is not None:
        prefixed(f"the same as {found}, which is finished: reused")
    if finished(job):  # now, or by another process since we looked
        return _done(job)
    status = run_child(job, prefixed)
    if status == BUSY:
        return Done(job.arm, job.seed, "elsewhere")
    if status < 0:
        report_failure(job, killed(status))
    done = _done(job)
    if done.state == "failed":
        prefixed(f"failed: {done.message}")
    return done


def _done(job: Job) -> Done:
    record = read_record(job.folder)
    if record is None:
        return Done(job.arm, job.seed, "failed", "it left no record")
    return Done(job.arm, job.seed, record.state, record.message)


@contextmanager
def ended_by_signal() -> Iterator[None]:
    """Let SIGTERM, by which clusters end jobs, run what must be done at the end: stop the child."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def warn_of_mixed_machines(comparison: Comparison) -> None:
    """Say where runs of a comparison were made on different machines, and in what they differ."""
    records = _records(comparison)
    for key in dict.fromkeys(key for record in records for key in record.machine):
        found: dict[str, list[str]] = {}
        for record in records:
            found.setdefault(_shown(record.machine.get(key)), []).append(f"{record.arm} seed {record.seed}")
        if len(found) > 1:
            who = "; ".join(f"{value}: {_few(runs)}" for value, runs in found.items())
            log.warning("mixed machines: %s differs, and times with it: %s", key, who)


def _records(comparison: Comparison) -> list[RunRecord]:
    folder = comparison_folder(comparison.name)
    found = [read_record(folder / a.name / f"seed-{s}") for a in comparison.arms for s in comparison.seeds]
    return [record for record in found if record is not None]


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
