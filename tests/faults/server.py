"""Forks a process for each command on standard input, so that killing twenty of them costs one import.

First it says ``ready``. Then a line in: ``{"folder": …, "words": […], "cache": …, "log": …, "files": …,
"kill_at_file": …}``. Two lines out: the command's process id, then its exit status. ``files`` is where it
writes, once it has ended, how many files it has given their names, and ``kill_at_file`` the one of them at
which it kills itself: an even one before the file has its name, an odd one after.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

# imported here once, and not by each of the forks
import tensorboard.compat.proto.summary_pb2  # noqa: F401
import torch.utils.tensorboard  # noqa: F401
import transformers.models.bert.modeling_bert
import transformers.models.bert.tokenization_bert  # noqa: F401

import jepa_vl.cli.preparation
import jepa_vl.cli.run
import jepa_vl.data.manifest
import jepa_vl.losses.info_nce
import jepa_vl.objectives.jepa
import jepa_vl.predictors.transformer
import jepa_vl.tasks.retrieval
import jepa_vl.tasks.vqa
import jepa_vl.text.hf_text  # noqa: F401
from jepa_vl.__main__ import main


def work(job: dict[str, Any]) -> int:
    """Do a command in this process."""
    os.chdir(job["folder"])
    os.environ["JEPA_VL_CACHE"] = job["cache"]
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    names = count_names(job["kill_at_file"])
    status = main(job["words"])
    Path(job["files"]).write_text(str(len(names)))
    return status


def count_names(kill_at: int | None) -> list[Any]:
    """Note every file that is given its name from now on, and die at one of them."""
    noted: list[Any] = []

    def watch(give: Any) -> Any:
        def watched(source: Any, target: Any, **more: Any) -> None:
            noted.append(target)
            if len(noted) == kill_at and kill_at % 2 == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            give(source, target, **more)
            if len(noted) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

        return watched

    os.replace, os.rename = watch(os.replace), watch(os.rename)
    return noted


def say(word: object) -> None:
    """Answer a line."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


say("ready")
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        try:
            os._exit(work(json.loads(line)))
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(99)
    say(child)
    _, status = os.waitpid(child, 0)
    say(os.waitstatus_to_exitcode(status))
