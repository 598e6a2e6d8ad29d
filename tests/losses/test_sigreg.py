from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from jepa_vl.errors import RecipeError
from jepa_vl.losses.sigreg import SIGReg, epps_pulley

GROUP = torch.arange(64)


def normal(rows: int, dim: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def closed_form(x: list[float]) -> float:
    """The integral by hand: each of its three terms is a Gaussian integral."""
    n = len(x)
    pairs = sum(math.exp(-((a - b) ** 2) / 2) for a in x for b in x) / n**2
    cross = sum(math.exp(-(a**2) / 4) for a in x) * 2 / n / math.sqrt(2)
    return n * math.sqrt(2 * math.pi) * (pairs - cross + 1 / math.sqrt(3))


@pytest.mark.parametrize("shift", [0.0, 0.5])
@pytest.mark.parametrize("size", [0.2, 1.0])
def test_the_statistic_is_its_closed_form(shift: float, size: float) -> None:
    x = normal(40, 3) * size + shift
    want = [closed_form(column.tolist()) for column in x.T]
    assert epps_pulley(x).tolist() == pytest.approx(want, rel=2e-3, abs=1e-4)


def test_the_statistic_of_a_collapse_is_its_closed_form() -> None:
    zeros = torch.zeros(10, 1, dtype=torch.float64)
    want = 10 * math.sqrt(2 * math.pi) * (1 - math.sqrt(2) + 1 / math.sqrt(3))
    assert epps_pulley(zeros).item() == pytest.approx(want, rel=1e-4)


def test_the_statistic_has_its_expectation_on_normal_samples() -> None:
    """E[S] under N(0, 1) is ∫ (1 - e^{-t²}) e^{-t²/2} dt, whatever N is."""
    want = math.sqrt(2 * math.pi) * (1 - 1 / math.sqrt(3))
    for rows in (16, 200):
        assert epps_pulley(normal(rows, 4000)).mean().item() == pytest.approx(want, rel=0.05)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x * 0.3,
        lambda x: x * 3,
        lambda x: x + 1,
        lambda x: x.sign(),
        lambda x: x[:, :1].expand_as(x),
    ],
    ids=["narrow", "wide", "shifted", "two values", "one dimension"],
)
def test_what_is_not_an_isotropic_gaussian_costs_more(wrong) -> None:
    loss = SIGReg(weight=1.0).eval()
    x = normal(500, 2)
    group = torch.arange(500)
    right = loss(x, x, group)[0]
    assert loss(wrong(x), wrong(x), group)[0] > 3 * right


def test_the_loss_is_a_weighted_sum_of_its_terms() -> None:
    p, t = normal(64, 8), normal(64, 8, seed=1)
    loss, logged = SIGReg(weight=0.3)(p, t, GROUP)
    want = 0.7 * logged["alignment"] + 0.3 * logged["gaussianity"]
    torch.testing.assert_close(loss, want)
    torch.testing.assert_close(logged["alignment"], (p - t).square().mean())


def test_directions_change_with_every_training_step_and_with_the_seed() -> None:
    x = normal(64, 8)
    loss = SIGReg(directions=4)
    first, second = (loss(x, x, GROUP)[0].item() for _ in range(2))
    assert first != second
    assert SIGReg(directions=4, seed=1)(x, x, GROUP)[0].item() not in (first, second)
    assert SIGReg(directions=4)(x, x, GROUP)[0].item() == first


def test_validation_does_not_move_the_directions_of_training() -> None:
    x = normal(64, 8)
    loss = SIGReg(directions=4)
    loss.eval()
    before = loss(x, x, GROUP)[0].item()
    assert loss(x, x, GROUP)[0].item() == before
    loss.train()
    assert loss(x, x, GROUP)[0].item() == before


def test_a_resumed_run_goes_on_with_the_same_directions() -> None:
    x = normal(64, 8)
    loss = SIGReg(directions=4)
    for _ in range(3):
        loss(x, x, GROUP)
    resumed = SIGReg(directions=4)
    resumed.load_state_dict(loss.state_dict())
    assert resumed(x, x, GROUP)[0].item() == loss(x, x, GROUP)[0].item()


def test_it_undoes_a_collapse() -> None:
    """Its gradient alone turns a narrow, correlated cloud to a spread one."""
    x = (normal(64, 1) * 0.1 + normal(64, 4, seed=1) * 0.05).requires_grad_()
    loss = SIGReg(weight=1.0, directions=32)
    optimizer = torch.optim.Adam([x], lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        loss(x, x, GROUP)[0].backward()
        optimizer.step()
    torch.testing.assert_close(torch.cov(x.detach().T), torch.eye(4).double(), rtol=0, atol=0.25)


@pytest.mark.parametrize(("key", "value"), [("weight", 1.5), ("weight", -0.1), ("directions", 0)])
def test_a_wrong_argument_is_named(key: str, value: float) -> None:
    with pytest.raises(RecipeError, match=rf"loss\.{key} must be .*, got {value}"):
        SIGReg(**{key: value})
