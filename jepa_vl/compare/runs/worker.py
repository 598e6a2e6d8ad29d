"""``python -m jepa_vl.compare.runs.worker JOB`` does one job, in a process with a memory of its own."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from pathlib import Path

from jepa_vl.cli.explain import explain
from jepa_vl.cli.run import INTERRUPTED, quiet
from jepa_vl.compare.runs.job import Job
from jepa_vl.compare.runs.lock import HeldError, lock_file, locked
from jepa_vl.compare.runs.train import fail, run_job
from jepa_vl.compare.runs.trial import TrialRecord, run_trial, write_trial

BUSY = 75  # another process does this job; the shell's "try again later"


def main(path: Path) -> int:
    """Do the job in a file; returns the exit status."""
    quiet()
    job = Job.load(path)
    if os.environ.get("LOCAL_RANK", "0") != "0":  # a process that Lightning started for the same run
        return _do(job)
    try:
        with locked(lock_file(job.folder)):
            return _do(job)
    except HeldError as error:
        logging.getLogger("jepa_vl").info("%s", error)
        return BUSY


def _do(job: Job) -> int:
    try:
        if job.trial is None:
            run_job(job)
        else:
            run_trial(job)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # whatever it is, the other runs go on and the table says it
        known = explain(error)
        if known is None:
            traceback.print_exc()
        message = known[0] if known else f"{type(error).__name__}: {error}"
        sys.stderr.write(f"error: {message}\n")
        report_failure(job, message)
        return 1
    return 0


def report_failure(job: Job, message: str) -> None:
    """Write into a job's folder that it failed, and why."""
    if job.trial is None:
        fail(job, message)
    else:
        record = TrialRecord(arm=job.arm, value=job.trial, key=job.key, state="failed", message=message)
        write_trial(job, record)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
