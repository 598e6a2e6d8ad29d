"""Forks a process for each command on standard input, so that killing twenty of them costs one import.

A line in: ``{"folder": …, "words": [...], "log": …}``. Two lines out: its process id, then its exit status.
"""

from __future__ import annotations

import json
import os
import sys

import jepa_vl.cli.run  # noqa: F401 - imported here once
from jepa_vl.__main__ import main

for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if child == 0:
        os.chdir(job["folder"])
        log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        try:
            os._exit(main(job["words"]))
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(99)
    sys.stdout.write(f"{child}\n")
    sys.stdout.flush()
    _, status = os.waitpid(child, 0)
    sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
    sys.stdout.flush()
