from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

WORKER = Path(__file__).with_name("ddp_worker.py")


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["jepa", "jepa in parts", "token"])
def test_two_processes_learn_what_one_does(objective, tiny_bert, tmp_path):
    """Targets of uneven length, repeated targets on both ranks, and a batch without any query."""
    weights = []
    root = str(Path(__file__).parents[2])
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    for devices in (1, 2):
        out = tmp_path / f"{devices}.pt"
        subprocess.run(
            [sys.executable, str(WORKER), objective, str(devices), tiny_bert, str(out)],
            env=env,
            check=True,
            capture_output=True,
            timeout=300,
        )
        weights.append(torch.load(out))
    one, two = weights
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(
            two[name], one[name], atol=2e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
        )
