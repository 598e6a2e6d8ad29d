"""The GPU's way to reduce a similarity matrix, by Triton's interpreter on a processor."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from jepa_vl.losses import log_sum_exp

WORKER = Path(__file__).with_name("interpreted_worker.py")
SIZES = [(70, 70, 0), (40, 300, 33), (5, 5, 0)]  # local rows, columns, and where the rows' own begin
CASES = list(itertools.product(SIZES, [32, 4096], ["all", "some", "none"], [False, True]))


def inputs(rows: int, columns: int, first: int, *, one_group: bool) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, 1 if one_group else columns // 2, (columns,), generator=generator).float()
    return [
        torch.randn(rows, 7, generator=generator),
        torch.randn(columns, 7, generator=generator) * 3,
        torch.tensor(9.0),
        label[first : first + rows].clone(),
        label,
        torch.rand(columns, generator=generator) + 0.1,
    ]


def case(size: tuple[int, int, int], chunk: int, keep: str, one_group: bool) -> dict[str, Any]:
    rows, columns, first = size
    kept = {"all": columns, "some": 32 if columns > 32 else columns, "none": 0}[keep]
    generator = torch.Generator().manual_seed(1)
    return {
        "inputs": inputs(*size, one_group=one_group),
        "rest": (first, chunk, kept),
        "grads": [torch.rand(n, generator=generator) for n in (rows, columns, rows)],
    }


@pytest.fixture(scope="module")
def results(interpreted: Callable[..., list[Any]]) -> list[Any]:
    return interpreted(WORKER, [case(*c) for c in CASES])


@pytest.mark.parametrize("number", range(len(CASES)), ids=[str(c) for c in CASES])
def test_it_is_what_is_done_on_a_processor(results: list[Any], number: int) -> None:
    of = case(*CASES[number])
    want = torch.ops.jepa_vl.log_sum_exps(*of["inputs"], *of["rest"])
    got, grads = results[number]
    for a, b in zip(got[:3], want[:3], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    assert torch.equal(got[3], want[3])
    if CASES[number][-1]:
        return  # no row has another group, and no gradient comes from what is not there
    first, chunk, _ = of["rest"]
    theirs = torch.ops.jepa_vl.log_sum_exps_backward(
        *of["grads"], *of["inputs"], *want[:2], want[4], first, chunk
    )
    for a, b in zip(grads, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_processors_and_other_formats_do_not_take_it() -> None:
    assert not log_sum_exp._fused(torch.zeros(2, 2))
