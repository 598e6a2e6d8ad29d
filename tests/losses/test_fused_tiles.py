"""The GPU's way through a similarity matrix: by its interpreter, and compiled for GPUs."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from jepa_vl.losses.tile_operations import TorchTiles, operations_for
from tests.losses.reduced import run

WORKER = Path(__file__).with_name("interpreted_worker.py")
SIZES = [(70, 70, 0), (40, 300, 33), (5, 5, 0)]  # local rows, columns, and where the rows' own begin
LABELS = ["few", "one"]
REDUCED = list(itertools.product(SIZES, [32, 4096], ["all", "some", "none"], LABELS))
SIGNED = list(itertools.product(SIZES, [32, 4096], [-10.0, 0.0, 30.0], LABELS))


def inputs(rows: int, columns: int, first: int, labels: str) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Rows, columns and scale; their labels; a weight for each column."""
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, 1 if labels == "one" else columns // 2, (columns,), generator=generator).float()
    vectors = [torch.randn(n, 7, generator=generator) for n in (rows, columns)]
    vectors[1] *= 3
    return (
        [*vectors, torch.tensor(9.0)],
        [label[first : first + rows].clone(), label],
        torch.rand(columns, generator=generator) + 0.1,
    )


def reduced(size: tuple[int, int, int], chunk: int, keep: str, labels: str) -> dict[str, Any]:
    rows, columns, first = size
    vectors, label, weight = inputs(*size, labels)
    generator = torch.Generator().manual_seed(1)
    found = {
        "operator": "log_sum_exps",
        "inputs": [*vectors, *label, weight],
        "rest": (first, chunk, {"all": columns, "some": min(columns, 32), "none": 0}[keep]),
    }
    if labels == "one":
        return found  # no row has another group, and no gradient comes from what is not there
    return found | {"grads": [torch.rand(n, generator=generator) for n in (rows, columns, rows)]}


def signed(size: tuple[int, int, int], chunk: int, bias: float, labels: str) -> dict[str, Any]:
    vectors, label, _ = inputs(*size, labels)
    return {
        "operator": "negative_log_sigmoid",
        "inputs": [*vectors, torch.tensor(bias), *label],
        "rest": (chunk, True),
    }


CASES = [*(reduced(*each) for each in REDUCED), *(signed(*each) for each in SIGNED)]
NAMES = [f"{case['operator']} {each}" for case, each in zip(CASES, [*REDUCED, *SIGNED], strict=True)]


@pytest.fixture(scope="module")
def results(interpreted: Callable[..., list[Any]]) -> list[Any]:
    return interpreted(WORKER, CASES)


@pytest.mark.parametrize("number", range(len(CASES)), ids=NAMES)
def test_it_is_what_is_done_on_a_processor(results: list[Any], number: int) -> None:
    want = run(CASES[number])
    assert len(results[number]) == len(want)
    for a, b in zip(results[number], want, strict=True):
        if b.dtype == torch.bool:
            assert torch.equal(a, b)
        else:
            assert (a - b).norm() <= 1e-5 * b.norm() + 1e-5


def test_processors_and_other_formats_do_not_take_it() -> None:
    for device, dtype in (("cpu", torch.float32), ("meta", torch.float64)):
        assert type(operations_for(torch.zeros(2, 2, device=device, dtype=dtype), 2, 2)) is TorchTiles


POINTERS = [
    "logits", "out", "inverse", "row_label", "column_label", "weight", "bias", "row", "column", "row_grad",
    "column_grad", "top", "top_other", "to_bias",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kernel", "constants"),
    [
        ("_reduce", {"keep": False}),
        ("_reduce", {"keep": True}),
        ("_gradient", {"kept": False}),
        ("_gradient", {"kept": True}),
        ("_log_sigmoid", {}),
    ],
)
@pytest.mark.parametrize("capability", [80, 90])
def test_the_kernels_compile_for_gpus_without_one(
    kernel: str, constants: dict[str, bool], capability: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    triton = pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))  # compile, and do not find what was compiled before
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from jepa_vl.losses import fused_tiles as fused

    function = getattr(fused, kernel)
    constants = {
        "far": fused.FAR, "block_rows": fused.ROWS, "block_columns": fused.COLUMNS, **constants,
    }  # fmt: skip
    kinds = {
        name: "constexpr" if name in constants else "*fp32" if name in POINTERS else "i32"
        for name in function.arg_names
    }
    places = {(function.arg_names.index(name),): value for name, value in constants.items()}
    made = triton.compile(
        ASTSource(function, kinds, places),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": fused.WARPS},
    )
    assert made.asm["cubin"]
