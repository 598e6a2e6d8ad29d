from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from jepa_vl.decoders.gap import gap_between, main
from jepa_vl.objectives.decoder import add_noise


@pytest.mark.parametrize("deviation", [0.01, 0.03, 0.1])
def test_noise_of_the_measured_size_has_the_measured_cosine(deviation):
    """What the objective `decoder` adds in training is found again, in size and in cosine."""
    true = F.normalize(torch.randn(4000, 256), dim=1)
    gap = gap_between(add_noise(true, deviation), true)
    assert gap.noise == pytest.approx(deviation, rel=0.02)
    again = gap_between(add_noise(true, gap.noise), true)
    assert again.cosine == pytest.approx(gap.cosine, abs=2e-3)
    assert gap.offset < 0.02


def test_deviation_and_cosine_say_the_same_of_unit_vectors():
    """|p - t|² = 2 - 2 cos."""
    predicted, true = (F.normalize(torch.randn(50, 8), dim=1) for _ in range(2))
    gap = gap_between(predicted, true)
    assert gap.deviation**2 * 8 == pytest.approx(2 - 2 * gap.cosine, rel=1e-5)
    assert gap.n == 50


def test_a_difference_that_is_the_same_for_all_is_the_offset():
    true = torch.zeros(5, 3)
    gap = gap_between(true + torch.tensor([0.3, 0.0, 0.4]), true + torch.tensor([0.0, 0.0, 0.0]))
    assert gap.offset == pytest.approx(0.5)


def test_a_run_that_is_not_there_is_one_message(tmp_path, capsys):
    assert main([str(tmp_path / "none")]) == 1
    assert "has no best checkpoint" in capsys.readouterr().err
