"""The benchmark of the full-size step, on a processor and a small recipe."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_row_for_every_way_to_run_the_layers() -> None:
    words = ["--device", "cpu", "--recipes", "recipes/quickstart.yaml", "--batches", "2", "--variants"]
    done = subprocess.run(
        [sys.executable, "benchmarks/full_step.py", *words, "as it is", "activations again"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for variant in ("as it is", "activations again"):
        row = re.search(rf"quickstart │ {variant} +│ 2 +│ ([\d.]+) +│ ([\d.]+)", done.stdout)
        assert row is not None, done.stdout
        speed, seconds = map(float, row.groups())
        assert speed == pytest.approx(2 / seconds, rel=0.1)
