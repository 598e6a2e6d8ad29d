"""How a frame is brought to its size, against open_clip's and torchvision's own transforms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip.transform import image_transform
from PIL import Image
from torchvision import transforms

from jepa_vl.data.video import read_clip
from jepa_vl.vision.base import Preprocessing, ResizeMode

SIZES = [(107, 61), (61, 107), (40, 40), (33, 200), (20, 12)]


@pytest.fixture(params=SIZES, ids=str)
def picture(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    width, height = request.param
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 255 / width, y * 255 / height, 127 + 120 * np.sin(x * y / 97)], axis=-1)
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "p.png")
    return tmp_path / "p.png"


def ours(picture: Path, preprocessing: Preprocessing) -> torch.Tensor:
    return read_clip(str(picture), preprocessing)[0].float() / 255


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("mode", ["shortest", "squash", "longest"])
def test_every_mode_gives_open_clips_pixels(picture: Path, mode: ResizeMode, interpolation: str) -> None:
    theirs = image_transform(
        32, is_train=False, mean=(0.0,) * 3, std=(1.0,) * 3, resize_mode=mode, interpolation=interpolation
    )
    preprocessing = Preprocessing((32, 32), 1, interpolation=interpolation, resize_mode=mode)
    assert torch.equal(ours(picture, preprocessing), theirs(Image.open(picture)))


def test_a_border_is_cut_off_as_torchvision_does_it_even_of_a_frame_of_the_right_size(picture: Path) -> None:
    theirs = transforms.Compose(
        [
            transforms.Resize(46, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(40),
            transforms.ToTensor(),
        ]
    )
    preprocessing = Preprocessing((40, 40), 1, resize_to=46)
    assert torch.equal(ours(picture, preprocessing), theirs(Image.open(picture)))
