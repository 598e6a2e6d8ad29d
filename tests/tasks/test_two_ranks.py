"""Every task on two ranks: they find what one process does."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from jepa_vl import registry
from jepa_vl.tasks.base import Result

WORKER = Path(__file__).with_name("rank_worker.py")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:The ``compute`` method")]


@pytest.fixture(scope="module")
def worker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rank_worker", WORKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def one(worker: ModuleType) -> Any:
    return worker.found_by_all(0, 1)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp("ranks")
    jobs = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(rank), "2", str(folder)], stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    for job in jobs:
        _, err = job.communicate(timeout=110)
        assert job.returncode == 0, err
    return [torch.load(folder / str(rank), weights_only=False) for rank in range(2)]


def flat(row: Result) -> dict[str, Any]:
    """Return the row with every baseline as a number of its own."""
    return {**asdict(row), **row.baselines, "baselines": None}


@pytest.mark.parametrize("how", ["embeds", "scores"])
@pytest.mark.parametrize("name", registry.names("tasks"))
def test_two_ranks_find_what_one_process_does(name: str, how: str, one: Any, two: list[Any]) -> None:
    """A sample on both ranks counts once, and no answer depends on what the other rank holds."""
    if (name, how) not in one:
        pytest.skip(f"{name} needs more of an objective")
    rows, outcomes = one[name, how]
    assert rows, "no sample of the worker concerns the task"
    for rank in range(2):
        theirs, their_outcomes = two[rank][name, how]
        assert [flat(row) for row in theirs] == [pytest.approx(flat(row)) for row in rows]
        assert their_outcomes.keys() == outcomes.keys()
        for metric, values in outcomes.items():
            assert their_outcomes[metric] == pytest.approx(values)
