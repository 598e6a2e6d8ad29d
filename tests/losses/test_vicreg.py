from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from jepa_vl.losses.vicreg import VICReg

GROUP = torch.arange(6)
P, T = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 0.7


def slow(p: Tensor, t: Tensor) -> tuple[float, float, float]:
    rows, dim = p.shape
    invariance = sum((p[n, d] - t[n, d]).item() ** 2 for n in range(rows) for d in range(dim)) / (rows * dim)
    variance = covariance = 0.0
    for x in (p, t):
        mean = [sum(x[n, d].item() for n in range(rows)) / rows for d in range(dim)]
        for a in range(dim):
            for b in range(dim):
                c = sum((x[n, a].item() - mean[a]) * (x[n, b].item() - mean[b]) for n in range(rows)) / (
                    rows - 1
                )
                if a == b:
                    variance += max(0.0, 1 - math.sqrt(c + 1e-4)) / dim / 2
                else:
                    covariance += c * c / dim
    return invariance, variance, covariance


def test_terms_and_weights_agree_with_a_slow_loop() -> None:
    loss, logged = VICReg(invariance=2.0, variance=3.0, covariance=5.0)(P, T, GROUP)
    i, v, c = slow(P, T)
    got = [logged[name].item() for name in ("invariance", "variance", "covariance")]
    assert got == pytest.approx([i, v, c])
    assert loss.item() == pytest.approx(2 * i + 3 * v + 5 * c)


def test_covariance_is_torchs() -> None:
    cov = torch.cov(P.T)
    off = cov.square().sum() - cov.diagonal().square().sum()
    logged = VICReg()(P, P, GROUP)[1]
    torch.testing.assert_close(logged["covariance"], 2 * off / 4)


def test_a_collapse_costs_the_whole_hinge_and_nothing_else() -> None:
    ones = torch.ones(6, 4)
    loss, logged = VICReg(variance=25.0)(ones, ones, GROUP)
    assert loss.item() == pytest.approx(25 * (1 - 0.01))
    assert logged["invariance"] == logged["covariance"] == 0


def test_spread_and_uncorrelated_dimensions_cost_nothing() -> None:
    x = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]) * 2
    assert VICReg()(x, x, GROUP[:4])[0].item() == pytest.approx(0, abs=1e-6)
