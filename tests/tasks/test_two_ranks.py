"""Every task on two ranks: they find what one process does."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from jepa_vl import registry
from jepa_vl.tasks.base import Result

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:The ``compute`` method")]


def _load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FILE = Path(__file__).with_name("rank_worker.py")
WORKER = _load(FILE)


@pytest.fixture(scope="module")
def one() -> Any:
    return WORKER.found_by_all(0, 1)


@pytest.fixture(scope="module")
def two(run_ranks: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp("ranks")
    run_ranks(FILE, 2, folder)
    return [torch.load(folder / str(rank), weights_only=False) for rank in range(2)]


def without_clock(rows: Sequence[Result]) -> list[Result]:
    """Leave out the rows of what a clock measured."""
    return [row for row in rows if "time at" not in row.metric]


def flat(row: Result) -> dict[str, Any]:
    """Return the row with every baseline as a number of its own."""
    return {**asdict(row), **row.baselines, "baselines": None}


@pytest.mark.parametrize("how", ["embeds", "scores"])
@pytest.mark.parametrize("name", registry.GROUPS["tasks"].built_in)
def test_two_ranks_find_what_one_process_does(name: str, how: str, one: Any, two: list[Any]) -> None:
    """A sample on both ranks counts once, and no answer depends on what the other rank holds."""
    if (name, how) not in one:
        pytest.skip(f"{name} needs more of an objective")
    rows, outcomes = one[name, how]
    assert rows, "no sample of the worker concerns the task"
    for rank in range(2):
        theirs, their_outcomes = two[rank][name, how]
        pairs = zip(without_clock(theirs), without_clock(rows), strict=True)
        assert all(flat(their) == pytest.approx(flat(row)) for their, row in pairs)
        assert their_outcomes.keys() == outcomes.keys()
        for metric, values in outcomes.items():
            assert their_outcomes[metric] == pytest.approx(values)
