"""Failures that a user can mend → one message and an exit status; any other is a bug and keeps its trace."""

from __future__ import annotations

import re

from jepa_vl.errors import UserError, is_no_place

#: What the others hear of when a process of a run is gone, by gloo, NCCL and the store.
_GONE = re.compile(
    r"Connection (closed|reset) by peer|Broken pipe|watchdog|NCCL communicator was aborted|wait timeout"
    r"|Timed out (waiting|after)|Socket Timeout",
    re.IGNORECASE,
)
_OF_PROCESSES = ("RuntimeError", "DistBackendError", "DistNetworkError", "DistStoreError")
#: What Lightning finds wrong with the trainer's options when it is at work, and says by errors of all kinds.
_OF_OPTIONS = re.compile(
    r"`val_check_interval`|^The sizes `data_parallel_size|^Early stopping conditioned|learning rate finder"
)
_WORKER = re.compile(r"^Caught \w+ in .*?Original Traceback.*^[\w.]*Error: (.*)", re.DOTALL | re.MULTILINE)


def explain(error: BaseException) -> tuple[str, int] | None:
    """Return (message, exit status) of a known failure, or None."""
    # what fails in a data worker arrives with the worker's whole trace as its text
    text = str(error)
    if worker := _WORKER.match(text):
        text = worker.group(1).strip()
    if isinstance(error, UserError):
        return text, error.exit_status
    # the second is how torch.save says it
    if "No space left on device" in text or ("inline_container.cc" in text and "unexpected pos" in text):
        file = getattr(error, "filename2", None) or getattr(error, "filename", None)
        where = f" while writing {file}" if file else ""
        return f"the disk is full{where}; free some space, or put the cache elsewhere with JEPA_VL_CACHE", 1
    if isinstance(error, OSError) and is_no_place(error) and error.filename:
        return (
            f"'{error.filename}' cannot be used: {error.strerror}; give another place, or put the cache "
            "elsewhere with JEPA_VL_CACHE"
        ), 1
    if type(error).__name__ == "MisconfigurationException" or _OF_OPTIONS.search(text):
        return f"trainer: {text}", 2
    if type(error).__name__ in _OF_PROCESSES and (gone := _GONE.search(text)):
        return (
            "another process of this run has ended, or has not answered in time; its own message says why "
            f"({gone[0]}). Go on from the last checkpoint with --ckpt_path last"
        ), 1
    if type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator: can't allocate memory" in text:
        return f"out of memory: {text.splitlines()[0]} Try a smaller --data.batch_size", 1
    return None
