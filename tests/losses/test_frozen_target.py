from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from jepa_vl.losses.frozen_target import CosineLoss, L1Loss, L2Loss

GROUP = torch.arange(4)
P, T = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def test_cosine_of_parallel_orthogonal_and_opposite_vectors() -> None:
    x = torch.tensor([[3.0, 0.0]])
    for other, want in (([[0.5, 0.0]], 0), ([[0.0, 2.0]], 1), ([[-1.0, 0.0]], 2)):
        assert CosineLoss()(x, torch.tensor(other), GROUP[:1])[0].item() == pytest.approx(want, abs=1e-7)


def test_cosine_is_half_the_squared_distance_of_unit_vectors() -> None:
    distance = (F.normalize(P, dim=-1) - F.normalize(T, dim=-1)).square().sum(dim=-1)
    torch.testing.assert_close(CosineLoss()(P, T, GROUP)[0], distance.mean() / 2)


@pytest.mark.parametrize(("make", "power"), [(L1Loss, 1), (L2Loss, 2)])
@pytest.mark.parametrize("normalize", [True, False])
def test_distances_agree_with_a_slow_loop(make: type[L1Loss | L2Loss], power: int, normalize: bool) -> None:
    total = 0.0
    for p, t in zip(P.tolist(), T.tolist(), strict=True):
        length = math.sqrt(sum(x * x for x in t) / len(t)) if normalize else 1.0
        total += sum(abs(a - b / length) ** power for a, b in zip(p, t, strict=True)) / len(t)
    assert make(normalize=normalize)(P, T, GROUP)[0].item() == pytest.approx(total / len(P))


def test_predicting_zero_costs_one_whatever_the_width_and_scale_of_targets() -> None:
    for dim, size in ((4, 1e-3), (300, 50.0)):
        t = torch.randn(4, dim, generator=torch.Generator().manual_seed(0)) * size
        assert L2Loss()(torch.zeros(4, dim), t, GROUP)[0].item() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("make", [CosineLoss, L1Loss, L2Loss])
def test_they_ask_for_a_frozen_target(make: type[CosineLoss | L1Loss | L2Loss]) -> None:
    assert make.needs_frozen_target


@pytest.mark.parametrize("make", [L1Loss, L2Loss])
def test_cosine_is_logged_beside_the_distance(make: type[L1Loss | L2Loss]) -> None:
    want = 1 - CosineLoss()(P, T, GROUP)[0]
    torch.testing.assert_close(make()(P, T, GROUP)[1]["cosine"], want)
