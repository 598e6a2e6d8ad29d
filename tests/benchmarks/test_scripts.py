"""Every benchmark runs, small, and its tables have a ratio to a peer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch

QUICK = ("twin_loss",)
NAMES = (
    *("loss", "loss_gpu", "gather_flags", "twin_loss", "twin_loss_gpu"),
    *("candidates", "full_step", "launches"),
    *("training_overhead", "features", "data_path", "scaling", "streaming", "cider_speed"),
    "search_speed",
)
RATIO = ("ratio", "times real time")


def tables(printed: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Headings and rows of each table that rich has drawn."""
    headings: list[str] = []
    rows: list[list[str]] = []
    for line in printed.splitlines():
        if line.startswith("┃"):
            headings = [cell.strip() for cell in line.strip("┃").split("┃")]
        elif line.startswith("│"):
            rows.append([cell.strip() for cell in line.strip("│").split("│")])
        elif line.startswith("└"):
            yield headings, rows
            rows = []


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in NAMES]
)
def test_a_benchmark_prints_finite_ratios_in_each_of_its_runs(name: str, run: Any) -> None:
    benchmark = next(b for b in run.BENCHMARKS if b.name == name)
    if benchmark.cuda and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    text, well = run.section(benchmark, small=True)
    assert well, text
    runs = text.split("```text\n")[1:]
    assert len(runs) == len(benchmark.small)
    for printed in runs:
        found = []
        for headings, rows in tables(printed):
            for place, heading in enumerate(headings):
                if any(word in heading for word in RATIO):
                    found += [float(row[place].replace(",", "").rstrip("%")) for row in rows if row[place]]
        assert found, printed
        assert all(math.isfinite(ratio) and ratio > 0 for ratio in found), printed


def test_all_are_run(run: Any) -> None:
    assert {b.name for b in run.BENCHMARKS} == set(NAMES)
