"""Vision towers of transformers: V-JEPA 2 on clips, DINOv2 and SigLIP frame by frame."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import AutoModel, SiglipVisionModel, VJEPA2Model
from transformers.image_processing_base import ImageProcessingMixin
from transformers.video_processing_utils import BaseVideoProcessor

from jepa_vl.errors import RecipeError, UserError
from jepa_vl.pretrained.known import known_config
from jepa_vl.pretrained.models import load_config
from jepa_vl.pretrained.weights import load_hf, resolve_model, shapes_alone
from jepa_vl.vision.base import Preprocessing, VisionEncoder
from jepa_vl.vision.fingerprint import fingerprint
from jepa_vl.vision.frames import normalised
from jepa_vl.vision.vjepa2_rotary import share_rotary

#: Model type in the config → the class that reads the tower out of its checkpoint.
_LOADERS: dict[str, Any] = {
    "vjepa2": VJEPA2Model,
    "dinov2": AutoModel,
    "dinov2_with_registers": AutoModel,
    "siglip": SiglipVisionModel,  # SigLIP 2 of a fixed resolution is of this type too
    "siglip_vision_model": SiglipVisionModel,
}
_PIL_FILTERS = {0: "nearest", 2: "bilinear", 3: "bicubic"}
_HALF, _IMAGENET = (0.5, 0.5, 0.5), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class HFVision(VisionEncoder):
    """The X-Encoder of the paper (V-JEPA 2 ViT-L, 304 M parameters, frozen), or an image encoder.

    V-JEPA 2 encodes the clip as a whole, two frames to a token. DINOv2 and SigLIP encode each frame, and
    their class and register tokens are dropped.

    Args:
        model: Hub name, local folder or weights name.
        num_frames: Frames of a clip; even for V-JEPA 2.
        image_size: Height and width in pixels; what the model's own preprocessing says if omitted.
        dtype: Precision of the weights and of the computation; tokens are float32 in any case.
        frozen: Whether the weights stay as they are; tokens of a frozen encoder can be cached.

    Raises:
        RecipeError: No such model, a model that is no vision tower, or a number of frames it cannot take.
        UserError: The model cannot be fetched, or its weights are not all there.
    """

    def __init__(
        self,
        *,
        model: str = "facebook/vjepa2-vitl-fpc64-256",
        num_frames: int = 16,
        image_size: int | None = None,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        frozen: bool = True,
    ) -> None:
        super().__init__(frozen=frozen)
        config = load_config(model)
        kind = config.model_type
        if kind not in _LOADERS:
            raise RecipeError(f"model '{model}' is a '{kind}'; hf_vision reads " + ", ".join(_LOADERS))
        self.is_clip_model = kind == "vjepa2"
        self.per_frame = not self.is_clip_model
        self.preprocessing = _preprocessing(model, config, num_frames=num_frames, image_size=image_size)
        self.backbone = _tower(model, config, self.preprocessing.size[0], getattr(torch, dtype))
        config = self.backbone.config
        tubelet = config.tubelet_size if self.is_clip_model else 1
        if num_frames < 1 or num_frames % tubelet:
            raise RecipeError(f"num_frames {num_frames} is not a multiple of {tubelet}, as '{model}' needs")
        height, width = (side // config.patch_size for side in self.preprocessing.size)
        self.dim = config.hidden_size
        self.grid = (num_frames // tubelet, height, width)
        if self.is_clip_model:
            self.rotary = share_rotary(self.backbone, math.prod(self.grid)).to(getattr(torch, dtype))
        if frozen:
            self.freeze_part(self.backbone)

    def forward(self, video: Tensor) -> Tensor:
        """Encode uint8 ``[B, T, C, H, W]`` to tokens ``[B, N, D]``."""
        pixels = normalised(video, self.preprocessing, next(self.backbone.parameters()).dtype)
        if self.is_clip_model:
            return self.backbone(pixel_values_videos=pixels).last_hidden_state.float()
        # SigLIP adapts its position embeddings to the size only when told; DINOv2 does so unasked
        told = {"interpolate_pos_encoding": True} if isinstance(self.backbone, SiglipVisionModel) else {}
        tokens = self.backbone(pixel_values=pixels.flatten(0, 1), **told).last_hidden_state
        # class and register tokens come first: [B·T, p + h·w, D] → [B·T, h·w, D] → [B, T·h·w, D]
        tokens = tokens[:, -self.grid[1] * self.grid[2] :]
        return tokens.reshape(video.shape[0], -1, self.dim).float()

    def fingerprint(self) -> str:
        """Return a hash of the weights, their precision and the preprocessing."""
        read: dict[str, Any] = {**vars(self.preprocessing), "kind": self.backbone.config.model_type}
        if self.is_clip_model and self.rotary.cos.dtype is not torch.float32:
            read["rotary"] = "float32"  # tokens of half precision were others while angles were in it too
        return fingerprint({"hf_vision": read}, self.backbone)


def _tower(model: str, config: Any, image_size: int, dtype: torch.dtype) -> Any:
    """Load the part of a model that makes tokens; on the meta device its shapes alone.

    Raises:
        UserError: It cannot be fetched, or the checkpoint lacks weights.
    """
    # V-JEPA 2 has rotary positions and takes any size it is told; SigLIP's pooling head makes no tokens
    kind, extra = config.model_type, dict[str, Any]()
    if kind == "vjepa2":
        extra = {"crop_size": image_size}
    elif kind.startswith("siglip"):
        extra = {"vision_use_head": False}
    if shapes_alone():
        own = getattr(config, "vision_config", config)
        own.update(extra)
        # both names exist: of the Auto class, and of every model's own
        build = getattr(_LOADERS[kind], "from_config", None) or _LOADERS[kind]._from_config
        return tokens_part(build(own, dtype=dtype))
    loaded, info = load_hf(
        _LOADERS[kind].from_pretrained, model, dtype=dtype, output_loading_info=True, **extra
    )
    missing = sorted(info["missing_keys"])
    if missing:
        raise UserError(f"the checkpoint of '{model}' lacks {len(missing)} weights, first '{missing[0]}'")
    return tokens_part(loaded)


def tokens_part(model: Any) -> Any:
    """Return the part of a transformers model that makes tokens: all but V-JEPA 2's predictor."""
    if isinstance(model, VJEPA2Model):
        return model.encoder
    mask_token = getattr(model.embeddings, "mask_token", None)
    if mask_token is not None:
        mask_token.requires_grad_(False)  # unused without masking, and distributed training minds that
    return model


def _preprocessing(model: str, config: Any, *, num_frames: int, image_size: int | None) -> Preprocessing:
    """Read the model's own image or video processor; where it has none, what its family was trained with."""
    processor: dict[str, Any] = {}
    if not (shapes_alone() and known_config(model)):
        read = (
            BaseVideoProcessor.get_video_processor_dict
            if config.model_type == "vjepa2"
            else ImageProcessingMixin.get_image_processor_dict
        )
        with suppress(OSError):
            processor, _ = read(resolve_model(model))
    own = getattr(config, "vision_config", config)
    mean, std = (_HALF, _HALF) if config.model_type.startswith("siglip") else _IMAGENET
    side = (
        image_size
        or (processor.get("do_center_crop") and _side(processor.get("crop_size")))
        or _side(processor.get("size"))
        or getattr(own, "crop_size", None)
        or own.image_size
    )
    return Preprocessing(
        size=(side, side),
        num_frames=num_frames,
        mean=tuple(processor.get("image_mean") or mean),
        std=tuple(processor.get("image_std") or std),
        interpolation=_PIL_FILTERS.get(processor.get("resample", 3), "bicubic"),
    )


def _side(size: Any) -> int | None:
    """Side in pixels, of a number or of one of the mappings that processors use."""
    if isinstance(size, dict):
        return size.get("height") or size.get("shortest_edge")
    return size
