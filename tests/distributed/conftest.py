"""One job for each number of processes, which finds what all tests of this folder compare."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

WORKER = Path(__file__).with_name("worker.py")


@pytest.fixture(scope="session")
def single(tiny_bert: str) -> dict[str, Any]:
    """What one process finds, with all rows."""
    spec = importlib.util.spec_from_file_location("gloo_worker", WORKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: dict[str, Any] = module.run_all(tiny_bert)
    return found


@pytest.fixture(scope="session", params=[2, 4], ids=["2 ranks", "4 ranks"])
def ranks(
    request: pytest.FixtureRequest, tiny_bert: str, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """What every rank finds, in one job of `request.param` processes.

    Gloo has been seen to lose a collective of FSDP2 on a busy machine, and waits for ever then; such a job is
    ended and done once more. One that fails, or finds something else, is not.
    """
    folder = tmp_path_factory.mktemp("gloo")
    try:
        return run_job(request.param, tiny_bert, folder / "first", timeout=200)
    except subprocess.TimeoutExpired:
        warnings.warn(f"a job of {request.param} processes hung and is done again", stacklevel=1)
        return run_job(request.param, tiny_bert, folder / "again", timeout=200)


def run_job(size: int, model: str, folder: Path, *, timeout: float) -> list[dict[str, Any]]:
    """Run one job; returns what every rank found. No process outlives it."""
    folder.mkdir()
    root = str(Path(__file__).parents[2])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    places = [str(folder / "store"), model, str(folder / "out")]
    jobs = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(rank), str(size), *places],
            env={**env, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    ends = time.monotonic() + timeout
    try:
        errors = [job.communicate(timeout=max(0.1, ends - time.monotonic()))[1] for job in jobs]
    finally:
        for job in jobs:
            job.kill()
    assert all(job.returncode == 0 for job in jobs), "\n".join(errors)
    return [torch.load(folder / f"out.{r}", weights_only=False) for r in range(size)]
