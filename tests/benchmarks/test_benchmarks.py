"""The benchmarks of this folder's scripts run, small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(name: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / name), *words],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--bf16",)])
def test_the_chunked_loss_is_measured_beside_the_plain_one(more: tuple[str, ...]) -> None:
    sizes = ("--vocabularies", "5000", "--tokens", "64", "--width", "16", "--rounds", "2", "--device", "cpu")
    out = run("twin_loss.py", *sizes, *more)
    assert "5,000" in out
    assert "loss differs" in out
