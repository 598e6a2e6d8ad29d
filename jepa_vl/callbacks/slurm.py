"""Slurm says that a job's time is nearly up; the job asks to be started again."""

from __future__ import annotations

import logging
import os
import signal
import subprocess

log = logging.getLogger(__name__)

#: What `#SBATCH --signal=SIGUSR1@120` sends to every process two minutes before the end.
NEARLY_UP = signal.SIGUSR1


def in_job() -> bool:
    """Whether this process is of a Slurm job."""
    return "SLURM_JOB_ID" in os.environ


def requeue() -> None:
    """Have Slurm put this job into its queue again, under the same number."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
    except OSError as error:
        log.warning("job %s is not started again: %s", job, error)
        return
    if done.returncode:
        log.warning("job %s is not started again: %s", job, done.stderr.strip())
    else:
        log.info("job %s will be started again", job)
