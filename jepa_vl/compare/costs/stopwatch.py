"""What a piece of work takes: the median of repeated runs, and its operations."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from jepa_vl.compare.costs.flops import count_flops

REPEATS = 20  # runs at most, after the one that is counted, which warms up
PATIENCE = 2.0  # seconds after which no further run begins


@dataclass(frozen=True)
class Measured:
    """Attributes: median seconds of a run, the number of runs, and the operations of one."""

    seconds: float
    runs: int
    flops: int


def measure(work: Callable[[Any], object], prepare: Callable[[], Any], device: torch.device) -> Measured:
    """Run ``work`` on what ``prepare`` returns, which is made anew for each run and not measured."""
    first = prepare()
    flops = count_flops(lambda: work(first))
    seconds: list[float] = []
    while len(seconds) < REPEATS and sum(seconds) < PATIENCE:
        operands = prepare()
        _wait(device)
        began = time.perf_counter()
        work(operands)
        _wait(device)
        seconds.append(time.perf_counter() - began)
    return Measured(median(seconds), len(seconds), flops)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
