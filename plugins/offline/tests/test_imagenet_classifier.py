"""EfficientNet-Lite0's probabilities, and that their order is that of the names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from jepa_vl_offline.imagenet_classifier import ImageNetLite0, imagenet_classes
from PIL import Image

from jepa_vl import registry
from jepa_vl.data.video import read_clip

#: Photographs that come with scikit-learn, and what ImageNet calls them.
PHOTOGRAPHS = {"flower.jpg": "daisy", "china.jpg": "palace"}


def test_it_is_registered() -> None:
    assert registry.get("vision", "imagenet_lite0") is ImageNetLite0


def test_the_usual_order_of_the_thousand_classes() -> None:
    names = imagenet_classes()
    assert len(names) == 1000
    assert (names[0], names[281], names[985], names[999]) == ("tench", "tabby", "daisy", "toilet tissue")


@pytest.mark.parametrize("file", PHOTOGRAPHS)
def test_a_photograph_is_what_it_is(file: str, tmp_path: Path) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    Image.fromarray(datasets.load_sample_image(file)).save(tmp_path / "photo.png")
    encoder = ImageNetLite0(num_frames=1)
    said = encoder(read_clip(str(tmp_path / "photo.png"), encoder.preprocessing)[None])[0, 0]
    assert encoder.class_names[int(said.argmax())] == PHOTOGRAPHS[file]


def test_each_frame_has_its_own_probabilities() -> None:
    encoder = ImageNetLite0(num_frames=2)
    video = torch.randint(0, 256, (2, 2, 3, 224, 224), dtype=torch.uint8)
    said = encoder(video)
    assert said.shape == (2, 2, encoder.dim)
    assert torch.allclose(said.sum(dim=-1), torch.ones(2, 2), atol=1e-5)
    assert torch.allclose(encoder(video.flip(1)), said.flip(1), atol=1e-5)
    assert not any(p.requires_grad for p in encoder.parameters())
