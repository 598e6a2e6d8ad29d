"""Starts a job's process, passes on what it says, and stops it with us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

from jepa_vl.compare.runs.job import Job

PATIENCE = 60.0  # seconds that a process which was told to end may take for its checkpoint


def run_child(job: Job, say: Callable[[str], None]) -> int:
    """Do a job in a process of its own; returns its exit status, negative for the signal that killed it.

    Args:
        job: What it does.
        say: Takes each line that it writes.

    Raises:
        KeyboardInterrupt: Ctrl-C, after the process has saved what it has.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "jepa_vl.compare.runs.worker", str(job.save())],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        process_group=0,  # Ctrl-C reaches it through us, once
    )
    stopped = False
    try:
        while True:
            try:
                _listen(process, say)
                status = process.wait()
                break
            except KeyboardInterrupt:
                stopped = True
                process.send_signal(signal.SIGINT)  # a second one stops it at once
    finally:
        if process.poll() is None:
            _end(process)
    if stopped:
        raise KeyboardInterrupt
    return status


def _listen(process: subprocess.Popen[str], say: Callable[[str], None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text := line.rstrip():
            say(text)


def _end(process: subprocess.Popen[str]) -> None:
    """We are told to end: so is the process, which saves a checkpoint first."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
