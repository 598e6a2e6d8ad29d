"""The same run of another comparison: what is equal in everything need not be done twice."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from jepa_vl.compare.runs.job import FILE as JOB
from jepa_vl.compare.runs.job import Job
from jepa_vl.compare.runs.lock import HeldError, lock_file, locked
from jepa_vl.compare.runs.milestones import milestones
from jepa_vl.compare.runs.run_state import FILE, FINAL, read_record, write_record
from jepa_vl.compare.runs.trial import read_trial, write_trial
from jepa_vl.runs import RUNS, make_room

DECODER = "decoder"


def reuse(job: Job) -> Path | None:
    """Take over a finished run, or trial, of another comparison that has the job's key.

    The decoder of a run stays behind: it was trained on a run of another name.

    Returns:
        The folder it was taken from; None where there is none, or another process is at the job.
    """
    found = _same(job)
    if found is None:
        return None
    with suppress(HeldError), locked(lock_file(job.folder)):
        if job.trial is None:
            _adopt_run(job, found)
        else:
            _adopt_trial(job, found)
        return found
    return None


def _same(job: Job) -> Path | None:
    where = "*/*/seed-*" if job.trial is None else "*/tuning/*/*"
    others = (folder for folder in sorted((RUNS / "compare").glob(where)) if folder != job.folder)
    folders = (folder for folder in others if folder.is_dir())  # a lock stands beside its run
    return next((folder for folder in folders if _is_finished(job, folder)), None)


def _is_finished(job: Job, folder: Path) -> bool:
    if job.trial is not None:
        trial = read_trial(job, folder)
        return trial is not None and trial.state != "failed"
    run = read_record(folder)
    if run is None or run.key != job.key or run.state not in FINAL:
        return False
    return not milestones(folder / "checkpoints")


def _adopt_trial(job: Job, folder: Path) -> None:
    trial = read_trial(job, folder)
    assert trial is not None
    job.save()
    write_trial(job, trial.model_copy(update={"arm": job.arm, "value": job.trial}))


def _adopt_run(job: Job, folder: Path) -> None:
    run = read_record(folder)
    assert run is not None
    make_room(job.folder)
    # what is finished is never written again, so that a link does
    shutil.copytree(
        folder, job.folder, copy_function=_link, dirs_exist_ok=True,
        ignore=lambda at, _: [DECODER, FILE] if Path(at) == folder else [],
    )  # fmt: skip
    (job.folder / JOB).unlink(missing_ok=True)  # a link too, and this one is written
    job.save()
    write_record(job.folder, run.model_copy(update={"arm": job.arm}))  # at last: now the run is whole


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
