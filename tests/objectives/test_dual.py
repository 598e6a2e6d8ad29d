"""Dual encoders of open_clip, tiny and with random weights, saved to disk and read back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn.functional import normalize

from jepa_vl.data.video import read_clip
from jepa_vl.errors import RecipeError, UserError
from jepa_vl.objectives.dual import DualSystem
from jepa_vl.sample import Batch, Item, Sample

TEXT = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
OPENAI = {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD}
HALF = {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "squash"}
#: What each system is, with everything but its shape cut down: (model_cfg, preprocess_cfg).
SYSTEMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "clip": (
        {
            "embed_dim": 24,
            "quick_gelu": True,
            "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
            "text_cfg": TEXT,
        },
        {**OPENAI, "interpolation": "bicubic", "resize_mode": "shortest"},
    ),
    "siglip2": (
        {
            "embed_dim": 32,
            "init_logit_bias": -10,
            "custom_text": True,
            "vision_cfg": {
                "image_size": 32,
                "timm_model_name": "vit_base_patch16_siglip_224",
                "timm_model_pretrained": False,
                "timm_pool": "map",
                "timm_proj": "none",
            },
            "text_cfg": {
                **TEXT,
                "width": 32,
                "vocab_size": 128,
                "hf_tokenizer_name": "in the folder itself",
                "tokenizer_kwargs": {"clean": "canonicalize"},
                "no_causal_mask": True,
                "proj_bias": True,
                "pool_type": "last",
            },
        },
        {**HALF, "interpolation": "bicubic"},
    ),
    "pe_core": (
        {
            "embed_dim": 24,
            "custom_text": True,
            "vision_cfg": {
                "image_size": 32,
                "timm_model_name": "vit_pe_core_tiny_patch16_384",
                "timm_model_pretrained": False,
                "timm_pool": "map",
                "timm_proj": None,
            },
            "text_cfg": {**TEXT, "width": 24},
        },
        {**HALF, "interpolation": "bilinear"},
    ),
}


@pytest.fixture(scope="module")
def shrunk_timm() -> Any:
    """Let timm build its backbones with one narrow block."""
    import timm

    original = timm.create_model
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            timm,
            "create_model",
            lambda name, **kwargs: original(
                name, **{**kwargs, "img_size": 32, "embed_dim": 32, "depth": 1, "num_heads": 2}
            ),
        )
        yield


@pytest.fixture(scope="module", params=SYSTEMS)
def folder(request: Any, tmp_path_factory: pytest.TempPathFactory, tiny_bert: str, shrunk_timm: None) -> str:
    model_cfg, preprocess_cfg = SYSTEMS[request.param]
    path = tmp_path_factory.mktemp(request.param)
    (path / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": model_cfg, "preprocess_cfg": preprocess_cfg})
    )
    for file in Path(tiny_bert).glob("*token*.json"):
        (path / file.name).write_text(file.read_text())
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{path}", load_weights=False)
    save_file(model.state_dict(), path / "open_clip_model.safetensors")
    return str(path)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A picture with structure at every scale, wider than high, of odd sides."""
    y, x = np.mgrid[:61, :107]
    picture = np.stack([x * 2, y * 4, 127 + 120 * np.sin(x * y / 97)], axis=-1).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def batch_of(system: DualSystem, videos: Sequence[torch.Tensor], query: str = "") -> Batch:
    items = [
        Item(Sample(id=str(i), media="x", query=query, target="t"), i, video=video)
        for i, video in enumerate(videos)
    ]
    return system.collator()(items)


def test_one_frame_and_a_text_are_embedded_as_open_clip_does(folder: str, image: Path) -> None:
    system = DualSystem(model=folder, num_frames=1)
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    model.eval()
    texts = ["open the blue door", "red"]
    with torch.no_grad():
        wanted = model.encode_image(transform(Image.open(image))[None], normalize=True)
        said = model.encode_text(open_clip.get_tokenizer(f"local-dir:{folder}")(texts), normalize=True)
    batch = batch_of(system, [read_clip(str(image), system.vision_encoder.preprocessing)])
    assert torch.allclose(system.embed_video(batch), wanted, atol=1e-5)
    assert torch.allclose(system.embed_text(texts), said, atol=1e-5)
    assert torch.allclose(system.score(batch, [texts])[0], (wanted @ said.T)[0], atol=1e-5)


def test_pixels_are_those_of_open_clips_own_transform(folder: str, image: Path) -> None:
    preprocessing = DualSystem(model=folder, num_frames=1).vision_encoder.preprocessing
    _, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    wanted = transform(Image.open(image))
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (preprocessing.mean, preprocessing.std))
    ours = (read_clip(str(image), preprocessing)[0].float() / 255 - mean) / std
    assert torch.allclose(ours, wanted, atol=1e-5)


def test_a_clip_is_the_mean_of_its_frames_unit_vectors(folder: str) -> None:
    one, three = DualSystem(model=folder, num_frames=1), DualSystem(model=folder, num_frames=3)
    video = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    each = torch.cat([one.embed_video(batch_of(one, [frame[None]])) for frame in video])
    assert torch.allclose(
        three.embed_video(batch_of(three, [video]))[0], normalize(each.mean(dim=0), dim=-1), atol=1e-5
    )


def test_the_query_is_not_looked_at(folder: str) -> None:
    system = DualSystem(model=folder, num_frames=2)
    video = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    asked, unasked = (batch_of(system, [video], query=q) for q in ("what colour?", ""))
    assert torch.equal(system.embed_video(asked), system.embed_video(unasked))


def test_another_preprocessing_or_other_weights_are_another_fingerprint(folder: str) -> None:
    system = DualSystem(model=folder, num_frames=2)
    before = system.vision_encoder.fingerprint()
    assert DualSystem(model=folder, num_frames=2).vision_encoder.fingerprint() == before
    assert DualSystem(model=folder, num_frames=3).vision_encoder.fingerprint() != before
    next(system.vision_encoder.tower.parameters()).data.add_(1)
    assert system.vision_encoder.fingerprint() != before


def test_nothing_of_it_learns_and_no_texts_are_no_embeddings(folder: str) -> None:
    system = DualSystem(model=folder)
    assert not any(p.requires_grad for p in system.parameters())
    assert system.embed_text([]).shape == (0, system.embed_dim)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": "ViT-L-15"}, RecipeError, "did you mean .*'ViT-L-14'"),
        ({"model": "ViT-L-14", "pretrained": "opanai"}, RecipeError, "did you mean 'openai'"),
        ({"model": "ViT-L-14", "pretrained": None}, RecipeError, "names no weights"),
        ({"num_frames": 0}, RecipeError, "num_frames must be at least 1"),
    ],
)
def test_a_wrong_name_is_one_message(arguments: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        DualSystem(**arguments)


def test_a_folder_without_weights_is_refused_and_not_filled_with_noise(folder: str, tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text((Path(folder) / "open_clip_config.json").read_text())
    with pytest.raises(UserError, match="cannot load the dual encoder"):
        DualSystem(model=str(tmp_path))


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="config file missing"):
        DualSystem(model=str(tmp_path))
