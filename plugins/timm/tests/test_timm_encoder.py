"""The timm encoder: tokens of CNNs and ViTs alike, and clear refusals."""

from __future__ import annotations

import pytest
import timm
import torch
from jepa_vl_timm.encoder import TimmVision

from jepa_vl.errors import RecipeError, UserError
from jepa_vl.vision.frames import normalised


def video(encoder: TimmVision, batch: int = 2) -> torch.Tensor:
    shape = (batch, encoder.preprocessing.num_frames, 3, *encoder.preprocessing.size)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("model", ["test_resnet", "test_convnext", "test_vit", "test_vit3", "resnet10t"])
def test_grid_and_width_say_the_shape_of_the_tokens(model: str) -> None:
    encoder = TimmVision(model=model, pretrained=False, num_frames=3)
    time, height, width = encoder.grid
    assert time == 3
    assert encoder(video(encoder)).shape == (2, time * height * width, encoder.dim)


def test_tokens_of_a_vit_are_its_patches_without_prefix_tokens() -> None:
    encoder = TimmVision(model="test_vit", pretrained=False, num_frames=2)
    backbone, clip = encoder.backbone, video(encoder)
    assert backbone.num_prefix_tokens == 1
    with torch.no_grad():
        for t in range(2):
            expected = backbone.forward_features(normalised(clip[:, t], encoder.preprocessing))[:, 1:]
            n = expected.shape[1]
            torch.testing.assert_close(encoder(clip)[:, t * n : (t + 1) * n], expected)


def test_tokens_of_a_cnn_are_the_places_of_its_last_map_row_by_row() -> None:
    encoder = TimmVision(model="test_resnet", pretrained=False, num_frames=1)
    clip = video(encoder)
    with torch.no_grad():
        expected = encoder.backbone.forward_features(normalised(clip[:, 0], encoder.preprocessing))
    tokens = encoder(clip)
    torch.testing.assert_close(tokens[:, 1], expected[:, :, 0, 1])
    torch.testing.assert_close(tokens[:, encoder.grid[2]], expected[:, :, 1, 0])


@pytest.mark.parametrize("model", ["test_resnet", "test_vit"])
def test_an_image_size_changes_the_grid(model: str) -> None:
    own = TimmVision(model=model, pretrained=False)
    small = TimmVision(model=model, pretrained=False, image_size=96)
    assert small.preprocessing.size == (96, 96)
    assert small.grid[1] < own.grid[1]
    assert small(video(small, batch=1)).shape[1] == small.grid[0] * small.grid[1] * small.grid[2]


def test_frozen_stays_in_eval_mode_and_without_gradient() -> None:
    encoder = TimmVision(model="test_resnet", pretrained=False).train()
    assert not any(m.training for m in encoder.backbone.modules())
    assert not any(p.requires_grad for p in encoder.parameters())
    free = TimmVision(model="test_resnet", pretrained=False, frozen=False).train()
    assert free.backbone.training
    assert all(p.requires_grad for p in free.parameters())


def test_fingerprint_follows_weights_and_settings() -> None:
    torch.manual_seed(1)
    one = TimmVision(model="test_vit", pretrained=False)
    torch.manual_seed(1)
    same = TimmVision(model="test_vit", pretrained=False)
    other_weights = TimmVision(model="test_vit", pretrained=False)
    assert one.fingerprint() == same.fingerprint()
    assert one.fingerprint() != other_weights.fingerprint()
    torch.manual_seed(1)
    assert one.fingerprint() != TimmVision(model="test_vit", pretrained=False, num_frames=2).fingerprint()


def test_a_checkpoint_with_a_classifier_is_loaded(tmp_path) -> None:
    source = timm.create_model("test_vit", pretrained=False, num_classes=7)
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    encoder = TimmVision(model="test_vit", checkpoint=str(tmp_path / "weights.pth"))
    torch.testing.assert_close(encoder.backbone.patch_embed.proj.weight, source.patch_embed.proj.weight)


def test_a_checkpoint_of_another_model_is_refused_and_not_left_random(tmp_path) -> None:
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"weights\.pth.*test_vit.*lacks"):
        TimmVision(model="test_vit", checkpoint=str(tmp_path / "weights.pth"))


def test_an_unknown_model_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"no 'resnet55'.*resnet50"):
        TimmVision(model="resnet55", pretrained=False)


def test_a_missing_checkpoint_is_named() -> None:
    with pytest.raises(RecipeError, match=r"no file 'nowhere\.pth'"):
        TimmVision(model="test_vit", checkpoint="nowhere.pth")


def test_a_size_the_model_refuses_is_named() -> None:
    with pytest.raises(RecipeError, match="image_size 100"):
        TimmVision(model="test_vit", pretrained=False, image_size=100)


@pytest.mark.parametrize("model", ["test_resnet", "test_vit"])
def test_frames_encoded_one_by_one_and_joined_are_the_tokens_of_the_clip(model: str) -> None:
    encoder = TimmVision(model=model, pretrained=False, num_frames=3).eval()
    clips = video(encoder)
    alone = torch.cat([encoder.encode_frames(frame.unsqueeze(0)) for frame in clips.flatten(0, 1)])
    joined = encoder.join_frames(alone.unflatten(0, clips.shape[:2]))
    torch.testing.assert_close(joined, encoder(clips), atol=1e-4, rtol=1e-4)
