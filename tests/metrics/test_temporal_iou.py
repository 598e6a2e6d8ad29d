"""Overlap of stretches of time against counting small steps."""

from __future__ import annotations

import pytest
import torch

from jepa_vl.metrics.temporal_iou import temporal_iou


def test_equals_counting_centiseconds() -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randint(0, 500, (12,), generator=generator)
    spans = torch.stack([start, start + torch.randint(1, 400, (12,), generator=generator)], dim=1)
    got = temporal_iou(spans[:5] / 100, spans[5:] / 100)
    for i, one in enumerate(spans[:5].tolist()):
        for j, other in enumerate(spans[5:].tolist()):
            a, b = set(range(*one)), set(range(*other))
            assert got[i, j] == pytest.approx(len(a & b) / len(a | b), abs=1e-6)


@pytest.mark.parametrize(("other", "overlap"), [((2, 4), 1), ((4, 6), 0), ((5, 6), 0), ((0, 8), 0.25)])
def test_equal_touching_apart_and_within(other: tuple[int, int], overlap: float) -> None:
    assert temporal_iou(torch.tensor([[2.0, 4.0]]), torch.tensor([other]).float()).item() == overlap


def test_a_stretch_of_no_length_is_refused() -> None:
    with pytest.raises(ValueError, match="others: a stretch must end after its start"):
        temporal_iou(torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 2.0]]))
