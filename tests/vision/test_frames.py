"""Normalisation of frames."""

from __future__ import annotations

import pytest
import torch

from jepa_vl.vision.base import Preprocessing
from jepa_vl.vision.frames import normalised

READ = Preprocessing(size=(4, 6), num_frames=1, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))


def test_equals_scaling_then_subtracting_then_dividing() -> None:
    frames = torch.randint(0, 256, (2, 5, 3, 4, 6), dtype=torch.uint8)
    found = normalised(frames, READ)
    for channel in range(3):
        expected = (frames[:, :, channel].double() / 255 - READ.mean[channel]) / READ.std[channel]
        torch.testing.assert_close(found[:, :, channel].double(), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("shape", [(3, 6, 4), (1, 4, 6), (4, 6, 3)])
def test_frames_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"the encoder reads \(3, 4, 6\)"):
        normalised(torch.zeros(shape, dtype=torch.uint8), READ)
