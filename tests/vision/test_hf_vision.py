"""Vision towers of transformers: tokens equal the models' own, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    SiglipConfig,
    SiglipModel,
    SiglipVisionConfig,
    SiglipVisionModel,
    VJEPA2Config,
    VJEPA2Model,
)

from jepa_vl.errors import RecipeError, UserError
from jepa_vl.vision.frames import normalised
from jepa_vl.vision.hf_vision import HFVision, tokens_part

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
SIGLIP_TOWER = {**SMALL, "intermediate_size": 64, "image_size": 32, "patch_size": 8}


def vjepa2() -> Any:
    predictor = {
        "pred_hidden_size": 24,
        "pred_num_attention_heads": 2,
        "pred_num_hidden_layers": 1,
        "pred_num_mask_tokens": 2,
    }
    return VJEPA2Model(VJEPA2Config(**SMALL, crop_size=32, patch_size=8, frames_per_clip=8, **predictor))


def dinov2() -> Any:
    return Dinov2Model(Dinov2Config(**SMALL, image_size=32, patch_size=8))


def dinov2_with_registers() -> Any:
    return Dinov2WithRegistersModel(
        Dinov2WithRegistersConfig(**SMALL, image_size=32, patch_size=8, num_register_tokens=3)
    )


def siglip() -> Any:
    text = {**SMALL, "intermediate_size": 64, "vocab_size": 100}
    return SiglipModel(SiglipConfig(text_config=text, vision_config=SIGLIP_TOWER))


def siglip_tower() -> Any:
    return SiglipVisionModel(SiglipVisionConfig(**SIGLIP_TOWER))


MODELS = [vjepa2, dinov2, dinov2_with_registers, siglip, siglip_tower]
PREFIX = {dinov2: 1, dinov2_with_registers: 4, siglip: 0, siglip_tower: 0}


def saved(make: Any, folder: Path) -> tuple[Any, str]:
    torch.manual_seed(0)
    model = make().eval()
    model.save_pretrained(folder)
    return model, str(folder)


def video(encoder: HFVision, batch: int = 2) -> torch.Tensor:
    shape = (batch, encoder.preprocessing.num_frames, 3, *encoder.preprocessing.size)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("make", MODELS)
def test_grid_and_width_say_the_shape_of_the_tokens(make: Any, tmp_path: Path) -> None:
    encoder = HFVision(model=saved(make, tmp_path)[1], num_frames=4)
    time, height, width = encoder.grid
    assert (time, height, width) == (2 if make is vjepa2 else 4, 4, 4)
    assert encoder(video(encoder)).shape == (2, time * height * width, encoder.dim)


def test_tokens_of_vjepa2_are_the_models_own(tmp_path: Path) -> None:
    model, folder = saved(vjepa2, tmp_path)
    encoder = HFVision(model=folder, num_frames=6)
    clip = video(encoder)
    with torch.no_grad():
        pixels = normalised(clip, encoder.preprocessing)
        expected = model(pixel_values_videos=pixels, skip_predictor=True).last_hidden_state
    torch.testing.assert_close(encoder(clip), expected)


@pytest.mark.parametrize("make", [m for m in MODELS if m is not vjepa2])
def test_tokens_of_image_models_are_their_patches_frame_by_frame(make: Any, tmp_path: Path) -> None:
    model, folder = saved(make, tmp_path)
    tower = model.vision_model if make is siglip else model
    encoder = HFVision(model=folder, num_frames=3)
    clip = video(encoder)
    with torch.no_grad():
        for t in range(3):
            frame = normalised(clip[:, t], encoder.preprocessing)
            expected = tower(pixel_values=frame).last_hidden_state[:, PREFIX[make] :]
            torch.testing.assert_close(encoder(clip)[:, 16 * t : 16 * (t + 1)], expected)


@pytest.mark.parametrize("make", MODELS)
def test_another_image_size_gives_another_grid(make: Any, tmp_path: Path) -> None:
    encoder = HFVision(model=saved(make, tmp_path)[1], num_frames=2, image_size=48)
    assert encoder.grid[1:] == (6, 6)
    assert encoder(video(encoder)).shape[1] == encoder.grid[0] * 36


@pytest.mark.parametrize("make", MODELS)
def test_frozen_has_no_gradient_and_stays_in_eval_mode(make: Any, tmp_path: Path) -> None:
    encoder = HFVision(model=saved(make, tmp_path)[1], num_frames=2).train()
    assert not any(m.training for m in encoder.backbone.modules())
    assert not any(p.requires_grad for p in encoder.parameters())


@pytest.mark.parametrize("make", MODELS)
def test_every_trainable_weight_of_an_unfrozen_tower_gets_a_gradient(make: Any, tmp_path: Path) -> None:
    encoder = HFVision(model=saved(make, tmp_path)[1], num_frames=2, frozen=False)
    encoder(video(encoder)).square().mean().backward()
    assert [n for n, p in encoder.named_parameters() if p.requires_grad and p.grad is None] == []


def test_half_precision_changes_the_weights_and_not_the_type_of_the_tokens(tmp_path: Path) -> None:
    _, folder = saved(dinov2, tmp_path)
    full, half = HFVision(model=folder), HFVision(model=folder, dtype="bfloat16")
    assert next(half.backbone.parameters()).dtype == torch.bfloat16
    clip = video(half, batch=1)
    assert half(clip).dtype == torch.float32
    assert 0 < (half(clip) - full(clip)).abs().max() < 0.1
    assert half.fingerprint() != full.fingerprint()


@pytest.mark.parametrize("make", [dinov2, vjepa2])
def test_fingerprint_follows_weights_and_settings(make: Any, tmp_path: Path) -> None:
    _, folder = saved(make, tmp_path / "one")
    torch.manual_seed(5)
    make().save_pretrained(tmp_path / "other")
    one = HFVision(model=folder, num_frames=2).fingerprint()
    assert one == HFVision(model=folder, num_frames=2).fingerprint()
    assert one != HFVision(model=folder, num_frames=4).fingerprint()
    assert one != HFVision(model=str(tmp_path / "other"), num_frames=2).fingerprint()
    assert one != HFVision(model=folder, num_frames=2, dtype="bfloat16").fingerprint()


def test_preprocessing_is_read_from_the_image_processor(tmp_path: Path) -> None:
    _, folder = saved(dinov2, tmp_path)
    processor = {
        "image_processor_type": "BitImageProcessor",
        "crop_size": {"height": 24, "width": 24},
        "do_center_crop": True,
        "size": {"shortest_edge": 28},
        "image_mean": [0.1, 0.2, 0.3],
        "image_std": [0.4, 0.5, 0.6],
        "resample": 2,
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    read = HFVision(model=folder).preprocessing
    assert (read.size, read.mean, read.std) == ((24, 24), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert read.interpolation == "bilinear"


def test_preprocessing_of_vjepa2_is_read_from_the_video_processor(tmp_path: Path) -> None:
    _, folder = saved(vjepa2, tmp_path)
    processor = {
        "video_processor_type": "VJEPA2VideoProcessor",
        "crop_size": {"height": 40, "width": 40},
        "do_center_crop": True,
        "size": {"shortest_edge": 44},
        "image_mean": [0.1, 0.2, 0.3],
    }
    (tmp_path / "video_preprocessor_config.json").write_text(json.dumps(processor))
    encoder = HFVision(model=folder, num_frames=2)
    assert (encoder.preprocessing.size, encoder.preprocessing.mean) == ((40, 40), (0.1, 0.2, 0.3))
    assert encoder.grid == (1, 5, 5)


def test_siglip_without_a_processor_is_normalised_by_one_half(tmp_path: Path) -> None:
    assert HFVision(model=saved(siglip, tmp_path)[1]).preprocessing.std == (0.5, 0.5, 0.5)


def test_an_odd_number_of_frames_is_refused_for_vjepa2(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="num_frames 3 is not a multiple of 2"):
        HFVision(model=saved(vjepa2, tmp_path)[1], num_frames=3)


def test_a_model_that_is_no_vision_tower_is_refused(tmp_path: Path) -> None:
    config = BertConfig(**SMALL, intermediate_size=64, vocab_size=50)
    BertModel(config).save_pretrained(tmp_path)
    with pytest.raises(RecipeError, match=r"is a 'bert'; hf_vision reads vjepa2, dinov2"):
        HFVision(model=str(tmp_path))


def test_a_checkpoint_without_the_weights_is_refused_and_not_left_random(tmp_path: Path) -> None:
    model, folder = saved(dinov2, tmp_path)
    state = {n: p for n, p in model.state_dict().items() if "layer.1" not in n}
    model.save_pretrained(folder, state_dict=state)
    with pytest.raises(UserError, match=r"lacks \d+ weights, first '.*layer\.1"):
        HFVision(model=folder)


def test_full_size_vjepa2_has_the_304_million_parameters_of_the_paper() -> None:
    with torch.device("meta"):
        tower = tokens_part(VJEPA2Model(VJEPA2Config()))
    count = sum(p.numel() for p in tower.parameters())
    assert count / 1e6 == pytest.approx(304, abs=1)


@pytest.mark.parametrize("make", [dinov2, siglip])
def test_frames_of_an_image_model_encoded_one_by_one_and_joined_are_the_tokens_of_the_clip(
    make: Any, tmp_path: Path
) -> None:
    _, folder = saved(make, tmp_path)
    encoder = HFVision(model=folder, num_frames=2)
    clips = torch.randint(0, 256, (2, 2, 3, *encoder.preprocessing.size), dtype=torch.uint8)
    alone = torch.cat([encoder.encode_frames(frame.unsqueeze(0)) for frame in clips.flatten(0, 1)])
    assert encoder.per_frame
    torch.testing.assert_close(encoder.join_frames(alone.unflatten(0, (2, 2))), encoder(clips))


def test_a_model_of_clips_does_not_say_that_it_sees_frames_alone(tmp_path: Path) -> None:
    _, folder = saved(vjepa2, tmp_path)
    assert not HFVision(model=folder, num_frames=2).per_frame
