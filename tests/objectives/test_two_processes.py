from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

WORKER = Path(__file__).with_name("ddp_worker.py")
ROOT = Path(__file__).parents[2]


def train(objective, strategy, devices, model, out):
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    command = [sys.executable, str(WORKER), objective, strategy, str(devices), model, str(out)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return torch.load(out)


@pytest.fixture(scope="module")
def alone(tiny_bert, tmp_path_factory):
    """What one process learns, by objective."""
    found = {}

    def one(objective):
        if objective not in found:
            out = tmp_path_factory.mktemp("alone") / "one.pt"
            found[objective] = train(objective, "ddp", 1, tiny_bert, out)
        return found[objective]

    return one


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "static", "sharded"])
@pytest.mark.parametrize("objective", ["jepa", "jepa in parts", "token", "decoder"])
def test_two_processes_learn_what_one_does(objective, strategy, alone, tiny_bert, tmp_path):
    """Targets of uneven length, repeated targets on both ranks, and a batch without any query.

    With frozen parts and without looking for unused parameters; with a static graph; and with weights,
    gradients and optimizer sharded layer by layer, each computed again in the backward pass.
    """
    one, two = alone(objective), train(objective, strategy, 2, tiny_bert, tmp_path / "two.pt")
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(
            two[name], one[name], atol=2e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
        )
