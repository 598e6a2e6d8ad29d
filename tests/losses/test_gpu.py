"""The losses over all pairs on a GPU, in its tiles, against the processor's in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jepa_vl.language.linear_cross_entropy import linear_cross_entropy
from jepa_vl.losses.base import Loss
from jepa_vl.losses.info_nce import InfoNCE
from jepa_vl.losses.sigmoid import SigmoidLoss

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

ROWS = 5000  # more than the tiles and the kept logits of a row


@pytest.fixture(autouse=True)
def _whole_products():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def results(make: type[Loss], device: str, dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    p, t = (x.to(device, dtype).requires_grad_() for x in torch.randn(2, ROWS, 32, generator=generator))
    group = torch.randint(0, ROWS // 2, (ROWS,), generator=generator).to(device)
    loss = make().to(device, dtype)
    value, logged = loss(p, t, group)
    value.backward()
    found = [value, logged["in_batch_recall"], p.grad, t.grad, *(x.grad for x in loss.parameters())]
    return [x.detach().cpu().double() for x in found if x is not None]


@pytest.mark.parametrize("make", [InfoNCE, SigmoidLoss])
@pytest.mark.parametrize(("dtype", "apart"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_values_and_gradients_are_those_of_the_processor(
    make: type[Loss], dtype: torch.dtype, apart: float
) -> None:
    want, got = results(make, "cpu", torch.float64), results(make, "cuda", dtype)
    for a, b in zip(got, want, strict=True):
        assert (a - b).norm() <= apart * b.norm()


@pytest.mark.parametrize(("dtype", "apart"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_the_twins_chunked_loss_is_that_of_the_processor(dtype: torch.dtype, apart: float) -> None:
    generator = torch.Generator().manual_seed(0)
    states, weight = (torch.randn(n, 48, generator=generator, dtype=torch.float64) for n in (3000, 7000))
    places = torch.randint(0, 7000, (3000,), generator=generator)

    def of(device: str, kind: torch.dtype) -> list[Tensor]:
        leaves = [x.to(device, kind, copy=True).requires_grad_() for x in (states, weight)]
        total = linear_cross_entropy(leaves[0], leaves[1], None, places.to(device)).total
        total.backward()
        return [total.detach().cpu().double(), *(x.grad.cpu().double() for x in leaves if x.grad is not None)]

    for a, b in zip(of("cuda", dtype), of("cpu", torch.float64), strict=True):
        assert (a - b).norm() <= apart * b.norm()
