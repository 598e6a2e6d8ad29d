"""Losses on 2 and 3 gloo processes under DDP have the value and the gradient of one process."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

WORKER = Path(__file__).with_name("worker.py")
pytestmark = pytest.mark.slow


def load_worker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gloo_worker", WORKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


worker = load_worker()


@pytest.fixture(scope="session")
def single() -> dict[str, Any]:
    return worker.run_all()


@pytest.fixture(scope="session", params=[2, 3], ids=["2 ranks", "3 ranks"])
def ranks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What every rank found, from one job of `request.param` processes."""
    folder = tmp_path_factory.mktemp("gloo")
    root = str(Path(__file__).parents[2])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    jobs = [
        subprocess.Popen(
            [
                sys.executable,
                str(WORKER),
                str(rank),
                str(request.param),
                str(folder / "store"),
                str(folder / "out"),
            ],
            env={**env, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(request.param)
    ]
    errors = [job.communicate(timeout=300)[1] for job in jobs]
    assert all(job.returncode == 0 for job in jobs), "\n".join(errors)
    return [torch.load(folder / f"out.{r}", weights_only=False) for r in range(request.param)]


@pytest.mark.parametrize("case", worker.CASES)
def test_gradients_of_both_towers_and_the_loss_are_one_process_s(
    case: str, single: dict[str, Any], ranks: list[dict[str, Any]]
) -> None:
    want = single[case]["gradients"]
    for found in ranks:
        got = found[case]["gradients"]
        assert got.keys() == want.keys()
        for name, grad in want.items():
            torch.testing.assert_close(got[name], grad, rtol=1e-9, atol=1e-12, msg=f"{case}: {name}")


@pytest.mark.parametrize("case", worker.CASES)
def test_the_mean_over_ranks_is_one_process_s_loss_and_log(
    case: str, single: dict[str, Any], ranks: list[dict[str, Any]]
) -> None:
    mean = torch.stack([found[case]["loss"] for found in ranks]).mean(dim=0)
    torch.testing.assert_close(mean, single[case]["loss"], rtol=1e-9, atol=0)
    for name, value in single[case]["logged"].items():
        logged = torch.stack([found[case]["logged"][name] for found in ranks]).mean(dim=0)
        torch.testing.assert_close(logged, value, rtol=1e-6, atol=1e-9, msg=f"{case}: {name}")


def test_a_gather_without_backward_has_the_right_loss_and_the_wrong_gradient(
    single: dict[str, Any], ranks: list[dict[str, Any]]
) -> None:
    """What the other tests would catch."""
    mean = torch.stack([found[worker.NAIVE]["loss"] for found in ranks]).mean(dim=0)
    torch.testing.assert_close(mean, single["info_nce"]["loss"], rtol=1e-9, atol=0)
    want = single["info_nce"]["gradients"]["embed.weight"]
    off = (ranks[0][worker.NAIVE]["gradients"]["embed.weight"] - want).norm() / want.norm()
    assert off > 0.1


def test_rows_and_ids_come_in_rank_order_on_every_rank(ranks: list[dict[str, Any]]) -> None:
    size = len(ranks)
    base = torch.arange(6.0).reshape(3, 2)
    for rank, found in enumerate(ranks):
        got = found["primitives"]
        assert got["world"] == (rank, size)
        assert torch.equal(got["rows"], torch.cat([base + 10 * r for r in range(size)]))
        assert torch.equal(got["turned"], torch.cat([(base + 10 * r).T for r in range(size)]))
        assert got["ids"].tolist() == [x for r in range(size) for x in (r, 2**62 + r)]


def test_backwards_sum_what_all_ranks_say(ranks: list[dict[str, Any]]) -> None:
    said = sum(range(1, len(ranks) + 1))  # rank r weighs its function r + 1
    for rank, found in enumerate(ranks):
        got = found["primitives"]
        assert torch.equal(got["rows_grad"], (torch.arange(6.0).reshape(3, 2) + 10 * rank) * said)
        assert torch.equal(got["total"], torch.tensor([1.0, 2.0]) * said)
        assert torch.equal(got["total_grad"], torch.full((2,), float(said * (rank + 1))))


def test_one_process_gathers_nothing(single: dict[str, Any]) -> None:
    got = single["primitives"]
    assert got["world"] == (0, 1)
    assert torch.equal(got["rows"], torch.arange(6.0).reshape(3, 2))
    assert torch.equal(got["total"], torch.tensor([1.0, 2.0]))
