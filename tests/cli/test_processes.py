"""Runs that need processes of their own: Ctrl-C, and two at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow

COMMAND = (sys.executable, "-m", "jepa_vl")


def run(*argv: str, folder: Path, verb: str = "fit") -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, verb, "--config", "tiny.yaml", *argv]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment())


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def last(folder: Path, name: str) -> dict[str, torch.Tensor]:
    return torch.load(folder / "runs" / name / "checkpoints" / "last.ckpt", weights_only=True)


def results(folder: Path, name: str) -> list[float]:
    """Every number of the test, evaluated by two processes where two have trained."""
    devices = "2" if name == "two" else "1"
    done = run("--name", name, "--trainer.devices", devices, folder=folder, verb="test")
    assert done.returncode == 0, done.stderr
    rows = json.loads((folder / "runs" / name / "results.json").read_text())["sets"]["test"]
    return [row["value"] for row in rows]


def test_ctrl_c_leaves_a_checkpoint_and_the_command_that_goes_on(tiny: Path) -> None:
    argv = [*COMMAND, "fit", "--config", "tiny.yaml", "--name", "stopped", "--trainer.max_steps", "100000"]
    process = subprocess.Popen(
        argv, cwd=tiny, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stdout is not None
    for line in process.stdout:  # training has begun when it reports steps
        if line.startswith("step "):
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    told = err.strip().splitlines()[-1]
    assert told.startswith("stopped; go on with: jepa-vl fit --config tiny.yaml --name stopped")
    assert told.endswith("--ckpt_path last")
    steps = last(tiny, "stopped")["global_step"]
    assert steps > 0
    done = run("--name", "stopped", "--trainer.max_steps", str(steps + 3), "--ckpt_path", "last", folder=tiny)
    assert done.returncode == 0, done.stderr
    assert last(tiny, "stopped")["global_step"] == steps + 3
    assert run("--name", "whole", "--trainer.max_steps", str(steps + 3), folder=tiny).returncode == 0
    whole, parts = (last(tiny, name)["state_dict"] for name in ("whole", "stopped"))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_two_processes_learn_what_one_learns_from_the_same_batches(tiny: Path) -> None:
    one = run("--name", "one", "--data.batch_size", "4", folder=tiny)
    assert one.returncode == 0, one.stderr
    two = run("--name", "two", "--data.batch_size", "2", "--trainer.devices", "2", folder=tiny)
    assert two.returncode == 0, two.stderr
    a, b = (last(tiny, name)["state_dict"] for name in ("one", "two"))
    for key in a:
        # Adam makes steps of the rounding noise where the gradient is zero, as for the biases of keys
        torch.testing.assert_close(a[key], b[key], rtol=1e-3, atol=1e-4)
    single, double = (results(tiny, name) for name in ("one", "two"))
    assert single == pytest.approx(double, abs=1e-6)
    assert not (tiny / "runs" / "two.1").exists()
