"""`ImageTower`: the image half of a dual encoder, one token a frame."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from jepa_vl.vision.base import Preprocessing, VisionEncoder
from jepa_vl.vision.fingerprint import fingerprint
from jepa_vl.vision.frames import normalised


class ImageTower(VisionEncoder):
    """Each frame → its unit vector in the space that images and texts share; frozen.

    Args:
        tower: Normalised images ``[F, C, H, W]`` → ``[F, E]``.
        preprocessing: How the tower was trained to see images.
        dim: E.
    """

    per_frame = True

    def __init__(self, *, tower: Any, preprocessing: Preprocessing, dim: int) -> None:
        super().__init__(frozen=True)
        self.tower = tower
        self.preprocessing = preprocessing
        self.dim = dim
        self.grid = (preprocessing.num_frames, 1, 1)
        self.freeze_part(tower)

    def forward(self, video: Tensor) -> Tensor:
        """Encode uint8 ``[B, T, C, H, W]`` to unit vectors ``[B, T, E]``."""
        pixels = normalised(video, self.preprocessing)
        embeddings = self.tower(pixels.flatten(0, 1))  # [B·T, E]
        return F.normalize(embeddings.float(), dim=-1).unflatten(0, video.shape[:2])

    def fingerprint(self) -> str:
        """Return a hash of the weights and the preprocessing."""
        return fingerprint({"image_tower": vars(self.preprocessing)}, self.tower)
