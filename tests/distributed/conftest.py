"""One job for each number of processes, which finds what all tests of this folder compare."""

from __future__ import annotations

import importlib.util
import subprocess
import warnings
from collections.abc import Callable
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
    request: pytest.FixtureRequest,
    tiny_bert: str,
    run_ranks: Callable[..., None],
    tmp_path_factory: pytest.TempPathFactory,
) -> list[dict[str, Any]]:
    """What every rank finds, in one job of `request.param` processes.

    Gloo has been seen to lose a collective of FSDP2 on a busy machine, and waits for ever then; such a job is
    ended and done once more. One that fails, or finds something else, is not.
    """
    size: int = request.param

    def job(name: str) -> list[dict[str, Any]]:
        folder = tmp_path_factory.mktemp(name)
        run_ranks(WORKER, size, folder / "store", tiny_bert, folder / "out", timeout=200)
        return [torch.load(folder / f"out.{r}", weights_only=False) for r in range(size)]

    try:
        return job("gloo")
    except subprocess.TimeoutExpired:
        warnings.warn(f"a job of {size} processes hung and is done again", stacklevel=1)
        return job("gloo-again")
