"""The most memory that a process has held."""

from __future__ import annotations

import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

MIB = 2**20


def reset_peak_memory() -> None:
    """Begin to measure anew, where the system can: a GPU's peak, and Linux' resident one."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):  # no Linux, or not allowed: the peak is then that of the whole process
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mib() -> float:
    """Return the most memory held since `reset_peak_memory`, else since the process began, in MiB.

    Of tensors on the GPU where there is one; of the whole process, libraries included, otherwise.
    """
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated() / MIB)
    status = Path("/proc/self/status")  # of Linux; what follows is at least what the parent process held
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(found[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MIB if sys.platform == "darwin" else peak / 1024
