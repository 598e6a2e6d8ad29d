"""Any timm backbone, frame by frame, as a vision encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import resolve_model_data_config
from torch import Tensor

from jepa_vl.errors import RecipeError, UserError, did_you_mean
from jepa_vl.pretrained.weights import shapes_alone
from jepa_vl.registry import register
from jepa_vl.vision.base import Preprocessing, VisionEncoder
from jepa_vl.vision.fingerprint import fingerprint
from jepa_vl.vision.frames import normalised


@register("vision", "timm")
class TimmVision(VisionEncoder):
    """The last feature map of each frame; a token is a place of the map, or a patch of a ViT.

    Args:
        model: Name of a timm model, such as ``vit_small_patch14_reg4_dinov2`` or ``resnet50.a1_in1k``.
        pretrained: Whether to fetch the published weights from the hub (or take them from its cache).
        checkpoint: File of weights to load instead.
        num_frames: Frames of a clip.
        image_size: Height and width in pixels; what the model was published with if omitted.
        frozen: Whether the weights stay as they are; tokens of a frozen encoder can be cached.

    Raises:
        RecipeError: An unknown model, a missing checkpoint, or a size the model refuses.
        UserError: The weights cannot be fetched or do not fit.
    """

    per_frame = True  # windows of a stream that overlap may share frames

    def __init__(
        self,
        *,
        model: str = "vit_small_patch14_reg4_dinov2",
        pretrained: bool = True,
        checkpoint: str | None = None,
        num_frames: int = 8,
        image_size: int | None = None,
        frozen: bool = True,
    ) -> None:
        super().__init__(frozen=frozen)
        self.backbone = _backbone(model, pretrained=pretrained, checkpoint=checkpoint)
        config = resolve_model_data_config(self.backbone)
        height, width = (image_size, image_size) if image_size else config["input_size"][1:]
        if image_size and hasattr(self.backbone, "set_input_size"):  # has position embeddings of one size
            self.backbone.set_input_size((image_size, image_size))
        if frozen:
            self.freeze_part(self.backbone)
        self.model_name = model
        # 1. How media is read for the encoder.
        self.preprocessing = Preprocessing(
            size=(height, width),
            num_frames=num_frames,
            mean=tuple(config["mean"]),
            std=tuple(config["std"]),
            interpolation=config["interpolation"],
        )
        # 2. The shape of its tokens, by trying one frame.
        with torch.no_grad():
            try:
                tried = self._map(torch.zeros(1, 3, height, width, dtype=torch.uint8))
            except (RuntimeError, AssertionError, ValueError) as error:
                raise RecipeError(f"timm model '{model}' refuses image_size {image_size}: {error}") from error
        self.dim = tried.shape[1]
        self.grid = (num_frames, tried.shape[2], tried.shape[3])

    # 3. From video to tokens.
    def forward(self, video: Tensor) -> Tensor:
        """Encode uint8 ``[B, T, C, H, W]`` to tokens ``[B, N, D]``."""
        maps = self._map(video.flatten(0, 1))  # [B·T, D, h, w]
        # [B·T, D, h, w] → [B·T, h·w, D] → [B, T·h·w, D]
        return maps.flatten(2).transpose(1, 2).reshape(video.shape[0], -1, self.dim)

    def _map(self, frames: Tensor) -> Tensor:
        """Return the last map ``[F, D, h, w]`` of any timm model, without class and register tokens."""
        dtype = next(self.backbone.parameters()).dtype
        return self.backbone.forward_intermediates(
            normalised(frames, self.preprocessing, dtype), indices=1, norm=True, intermediates_only=True
        )[0]

    # 4. What tells its cached tokens from those of any other encoder.
    def fingerprint(self) -> str:
        """Return a hash of the model's name, its weights and the preprocessing."""
        return fingerprint({"timm": self.model_name, "read": vars(self.preprocessing)}, self.backbone)


def _backbone(model: str, *, pretrained: bool, checkpoint: str | None) -> Any:
    """Make a timm model without its classifier.

    Raises:
        RecipeError: There is no such model, or no such file.
        UserError: Its weights cannot be fetched or do not fit.
    """
    if not timm.is_model(model):
        raise RecipeError(f"model: timm has no '{model}'; {did_you_mean(model, timm.list_models())}")
    if checkpoint is not None and not Path(checkpoint).expanduser().is_file():
        raise RecipeError(f"checkpoint: no file '{checkpoint}'")
    try:
        wanted = pretrained and checkpoint is None and not shapes_alone()
        backbone = timm.create_model(model, pretrained=wanted, num_classes=0)
        if checkpoint is not None and not shapes_alone():
            # not strict, for a classifier may be there; but nothing may be left random
            found = timm.models.load_checkpoint(backbone, str(Path(checkpoint).expanduser()), strict=False)
            if found is not None and found.missing_keys:
                raise ValueError(f"it lacks {len(found.missing_keys)} weights, first {found.missing_keys[0]}")
    except (OSError, RuntimeError, ValueError) as error:
        source = f"checkpoint '{checkpoint}'" if checkpoint else "pretrained weights"
        reason = str(error).strip().split("\n")[0]
        raise UserError(f"cannot load the {source} of timm model '{model}': {reason}") from error
    return backbone
