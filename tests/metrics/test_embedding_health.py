from __future__ import annotations

import math

import pytest
import torch

from jepa_vl.metrics.embedding_health import effective_rank, embedding_std

CLOUD = torch.randn(4000, 32, generator=torch.Generator().manual_seed(0))


def test_std_is_one_for_isotropic_directions_of_any_norm() -> None:
    assert embedding_std(CLOUD * 30).item() == pytest.approx(1, abs=0.01)


def test_std_is_zero_for_a_collapse() -> None:
    assert embedding_std(CLOUD[:1].expand(50, -1)).item() == pytest.approx(0, abs=1e-5)


def test_std_agrees_with_its_definition() -> None:
    rows = [[0.6, 0.8], [0.8, -0.6], [1.0, 0.0]]
    stds = []
    for column in zip(*rows, strict=True):
        mean = sum(column) / 3
        stds.append(math.sqrt(sum((v - mean) ** 2 for v in column) / 3))
    assert embedding_std(torch.tensor(rows)).item() == pytest.approx(sum(stds) / 2 * math.sqrt(2))


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_rank_of_equal_singular_values_is_their_number(rank: int) -> None:
    x = torch.zeros(20, 8)
    x[range(rank), range(rank)] = 5.0
    assert effective_rank(x).item() == pytest.approx(rank, rel=1e-5)


def test_rank_of_uneven_singular_values_is_exp_of_their_entropy() -> None:
    shares = [0.7, 0.2, 0.1]
    want = math.exp(-sum(s * math.log(s) for s in shares))
    assert effective_rank(torch.diag(torch.tensor(shares)) * 9).item() == pytest.approx(want, rel=1e-5)


def test_rank_does_not_change_with_rotation_and_falls_with_a_collapse() -> None:
    turn, _ = torch.linalg.qr(CLOUD[:32])
    assert effective_rank(CLOUD @ turn).item() == pytest.approx(effective_rank(CLOUD).item(), rel=1e-3)
    assert effective_rank(CLOUD[:1].expand(50, -1)).item() == pytest.approx(1, abs=0.01)


def test_half_precision_zeros_and_nan_do_not_raise() -> None:
    assert effective_rank(CLOUD.bfloat16()).item() == pytest.approx(effective_rank(CLOUD).item(), rel=1e-2)
    assert effective_rank(torch.zeros(4, 4)).item() == pytest.approx(1)
    assert effective_rank(torch.full((4, 4), math.nan)).isnan()
