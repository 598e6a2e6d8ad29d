"""``python forked.py WORKER SIZE ARGUMENTS…``: the ranks of a job, of which each forks from one interpreter.

Rank r is what ``python WORKER r SIZE ARGUMENTS…`` would be, without the seconds that its imports take.
"""

from __future__ import annotations

import runpy
import sys
from multiprocessing import get_context
from pathlib import Path

# imported here once, and not by each of the ranks
import lightning  # noqa: F401
import torch
import transformers.models.bert.modeling_bert  # noqa: F401


def rank(worker: str, arguments: list[str]) -> None:
    """Be one rank."""
    torch.set_num_threads(1)
    sys.argv = [worker, *arguments]
    sys.path[0] = str(Path(worker).parent)
    runpy.run_path(worker, run_name="__main__")


def main(worker: str, size: str, *arguments: str) -> int:
    """Start all ranks and wait for them; returns 1 where one has failed."""
    context = get_context("fork")
    ranks = [
        context.Process(target=rank, args=(worker, [str(r), size, *arguments])) for r in range(int(size))
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    return int(any(process.exitcode for process in ranks))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
