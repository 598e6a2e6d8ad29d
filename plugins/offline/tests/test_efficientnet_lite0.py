"""EfficientNet-Lite0 as a vision encoder: the contract, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from jepa_vl_offline import efficientnet_lite0
from jepa_vl_offline.efficientnet_lite0 import EfficientNetLite0

from jepa_vl import registry
from jepa_vl.errors import RecipeError


def video(encoder: EfficientNetLite0, batch: int = 2) -> torch.Tensor:
    shape = (batch, encoder.preprocessing.num_frames, 3, *encoder.preprocessing.size)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_it_is_registered() -> None:
    assert registry.get("vision", "efficientnet_lite0") is EfficientNetLite0


@pytest.mark.parametrize(
    ("settings", "grid", "dim"),
    [
        ({}, (4, 4, 4), 40 * 4 + 112),
        ({"strides": (4, 8), "tubelet": 2}, (2, 4, 4), 2 * (24 * 16 + 40 * 4)),
        ({"strides": (16, 8)}, (4, 4, 4), 40 * 4 + 112),
        ({"strides": (8, 32), "grid": 8}, (4, 8, 8), 40 + 320),
        ({"strides": (2,), "grid": 1, "num_frames": 3, "tubelet": 3}, (1, 1, 1), 3 * 16 * 32**2),
        ({"image_size": 72, "strides": (8,), "grid": 3}, (4, 3, 3), 40 * 9),
    ],
)
def test_grid_and_width_say_the_shape_of_the_tokens(settings: Any, grid: Any, dim: int) -> None:
    encoder = EfficientNetLite0(**settings)
    assert (encoder.grid, encoder.dim) == (grid, dim)
    assert encoder(video(encoder)).shape == (2, grid[0] * grid[1] * grid[2], dim)


def test_tokens_of_a_clip_do_not_depend_on_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = EfficientNetLite0(tubelet=2)
    clips = video(encoder, batch=5)
    together = encoder(clips)
    monkeypatch.setattr(efficientnet_lite0, "FRAMES_PER_PASS", 3)
    for i in range(5):
        torch.testing.assert_close(encoder(clips[i : i + 1])[0], together[i], atol=1e-4, rtol=1e-4)


def test_a_still_clip_says_that_nothing_moves() -> None:
    encoder = EfficientNetLite0(tubelet=2)
    still = video(encoder)[:, :1].expand(-1, 4, -1, -1, -1)
    tokens = encoder(still)
    half = encoder.dim // 2
    torch.testing.assert_close(tokens[..., half:], torch.zeros_like(tokens[..., half:]), atol=1e-5, rtol=0)
    plain = EfficientNetLite0(tubelet=2, difference=False)(still)
    torch.testing.assert_close(plain[..., half:], plain[..., :half], atol=1e-5, rtol=0)


def test_what_changes_in_a_corner_changes_the_token_of_that_corner_most() -> None:
    encoder = EfficientNetLite0(num_frames=1, strides=(4, 8))
    grey = torch.full((1, 1, 3, 64, 64), 127, dtype=torch.uint8)
    spot = grey.clone()
    spot[..., 52:60, 4:12] = 255  # bottom left
    change = (encoder(spot) - encoder(grey)).norm(dim=-1).view(4, 4)
    assert change.argmax() == 3 * 4 + 0
    assert change[0, 3] < 0.05 * change[3, 0]


def test_frozen_stays_in_eval_mode_and_without_gradient() -> None:
    encoder = EfficientNetLite0().train()
    assert not any(m.training for m in encoder.network.modules())
    assert not any(p.requires_grad for p in encoder.parameters())


def test_an_unfrozen_encoder_trains_every_weight_and_starts_where_the_frozen_one_is() -> None:
    encoder, frozen = EfficientNetLite0(frozen=False), EfficientNetLite0()
    clip = video(encoder)
    torch.testing.assert_close(encoder.eval()(clip), frozen(clip), atol=1e-3, rtol=1e-3)
    encoder.train()(clip).square().mean().backward()
    assert [n for n, p in encoder.named_parameters() if p.grad is None] == []


def test_fingerprint_follows_settings_and_learnt_weights() -> None:
    one = EfficientNetLite0()
    assert one.fingerprint() == EfficientNetLite0().fingerprint()
    changes: list[dict[str, Any]] = [
        {"image_size": 128},
        {"num_frames": 8},
        {"strides": (8,)},
        {"grid": 2},
        {"tubelet": 2},
        {"difference": False},
    ]
    prints = {EfficientNetLite0(**change).fingerprint() for change in changes} | {one.fingerprint()}
    assert len(prints) == len(changes) + 1
    free = EfficientNetLite0(frozen=False)
    before = free.fingerprint()
    with torch.no_grad():
        next(free.parameters()).add_(1e-3)
    assert free.fingerprint() != before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strides": (6,)}, r"strides: found 6, expected one or more of 2, 4, 8, 16, 32"),
        ({"strides": ()}, r"strides: found nothing"),
        ({"image_size": 72}, r"image_size 72 is not a multiple of 16.*nearest: 64 or 80"),
        ({"image_size": 8}, r"image_size 8 is not a multiple of 16.*nearest: 16"),
        ({"grid": 3}, r"grid 3 does not fit the map of stride 8, 8×8.*choose from 1, 2, 4, 8"),
        ({"grid": 0}, r"grid 0 does not fit"),
        ({"num_frames": 4, "tubelet": 3}, r"num_frames \(4\) must be a positive multiple of tubelet \(3\)"),
    ],
)
def test_sizes_that_do_not_divide_are_refused_with_what_would(settings: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        EfficientNetLite0(**settings)


def test_a_video_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"frames of shape \(3, 32, 32\)"):
        EfficientNetLite0()(torch.zeros(1, 4, 3, 32, 32, dtype=torch.uint8))


@pytest.mark.parametrize("settings", [{}, {"tubelet": 2}, {"tubelet": 4, "difference": False}])
def test_frames_encoded_one_by_one_and_joined_are_the_tokens_of_the_clip(settings: Any) -> None:
    encoder = EfficientNetLite0(**settings)
    clips = video(encoder)
    alone = torch.cat([encoder.encode_frames(frame.unsqueeze(0)) for frame in clips.flatten(0, 1)])
    joined = encoder.join_frames(alone.unflatten(0, clips.shape[:2]))
    torch.testing.assert_close(joined, encoder(clips), atol=1e-4, rtol=1e-4)
