"""EfficientNet-Lite0 with its ImageNet head: what is on each frame, as 1,000 probabilities."""

from __future__ import annotations

import torch
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import load_file
from torch import Tensor

from jepa_vl.registry import register
from jepa_vl.vision.base import Preprocessing, VisionEncoder
from jepa_vl.vision.fingerprint import fingerprint
from jepa_vl.vision.frames import normalised
from jepa_vl_offline.lite0_network import lite0

#: Frames in one pass of the network; more gain nothing and take memory.
FRAMES_PER_PASS = 32


@register("vision", "imagenet_lite0")
class ImageNetLite0(VisionEncoder):
    """Probabilities of the 1,000 classes of ImageNet for each frame; frozen.

    Published top-1 on ImageNet's validation images: 75.1 %, at 224 pixels cut out of 256.

    Args:
        num_frames: Frames of a clip.

    Attributes:
        class_names: Names of the D classes, in the order of the probabilities.
    """

    per_frame = True

    def __init__(self, *, num_frames: int = 4) -> None:
        super().__init__(frozen=True)
        # batch norms' statistics are of pixels normalised so; see efficientnet_lite0
        self.preprocessing = Preprocessing(
            size=(224, 224),
            num_frames=num_frames,
            mean=(127 / 255,) * 3,
            std=(128 / 255,) * 3,
            resize_to=256,
        )
        self.class_names = imagenet_classes()
        self.dim = len(self.class_names)
        self.grid = (num_frames, 1, 1)
        self.network = EfficientNet.from_name("efficientnet-lite0")
        self.network.load_state_dict(load_file(lite0() / "model.safetensors"))
        self.network.to(memory_format=torch.channels_last)  # faster on a CPU; no other result
        self.freeze_part(self.network)

    def forward(self, video: Tensor) -> Tensor:
        """Classify the frames of uint8 ``[B, T, C, H, W]``: probabilities ``[B, T, D]``."""
        pixels = normalised(video.flatten(0, 1), self.preprocessing, next(self.network.parameters()).dtype)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        logits = torch.cat([self.network(part) for part in pixels.split(FRAMES_PER_PASS)])  # [B·T, D]
        return logits.float().softmax(dim=-1).unflatten(0, video.shape[:2])

    def fingerprint(self) -> str:
        """Return a hash of the weights."""
        return fingerprint({"imagenet_lite0": "probabilities"}, self.network)


def imagenet_classes() -> tuple[str, ...]:
    """Names of ImageNet's 1,000 classes in the usual order, from torchvision, which is slow to import."""
    from torchvision.models import EfficientNet_B0_Weights  # type: ignore[import-untyped]

    return tuple(EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"])
