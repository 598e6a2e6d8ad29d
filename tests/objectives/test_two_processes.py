from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

WORKER = Path(__file__).with_name("ddp_worker.py")
ROOT = Path(__file__).parents[2]


OBJECTIVES = ["jepa", "jepa in parts", "token", "decoder"]


def train(strategy, devices, model, folder):
    """What each objective learns."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    command = [sys.executable, str(WORKER), strategy, str(devices), model, str(folder), *OBJECTIVES]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return {name: torch.load(folder / f"{name}.pt") for name in OBJECTIVES}


@pytest.fixture(scope="module")
def alone(tiny_bert, tmp_path_factory):
    """What one process learns."""
    return train("ddp", 1, tiny_bert, tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="module", params=["ddp", "static", "sharded"])
def together(request, tiny_bert, tmp_path_factory):
    """What two processes learn."""
    return train(request.param, 2, tiny_bert, tmp_path_factory.mktemp("two"))


@pytest.mark.slow
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_two_processes_learn_what_one_does(objective, alone, together):
    """Targets of uneven length, repeated targets on both ranks, and a batch without any query.

    With frozen parts and without looking for unused parameters; with a static graph; and with weights,
    gradients and optimizer sharded layer by layer, each computed again in the backward pass.
    """
    one, two = alone[objective], together[objective]
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(
            two[name], one[name], atol=2e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
        )
