"""`RawFrames`: no encoder at all, for systems that see frames with their own eyes."""

from __future__ import annotations

from torch import Tensor

from jepa_vl.vision.base import Preprocessing, ResizeMode, VisionEncoder
from jepa_vl.vision.fingerprint import fingerprint


class RawFrames(VisionEncoder):
    """Hands on the frames as they were read; a token is a frame, and none are cached.

    Args:
        num_frames: Frames of a clip.
        size: Height and width in pixels.
        resize_mode: How a frame is brought to that size.
    """

    def __init__(self, *, num_frames: int, size: int, resize_mode: ResizeMode) -> None:
        super().__init__(frozen=False)  # only a frozen encoder's tokens are cached
        self.preprocessing = Preprocessing((size, size), num_frames, resize_mode=resize_mode)
        self.grid = (num_frames, 1, 1)
        self.dim = 3 * size * size

    def forward(self, video: Tensor) -> Tensor:
        """Flatten the frames of uint8 ``[B, T, C, H, W]`` to ``[B, T, C·H·W]``."""
        return video.flatten(2)

    def fingerprint(self) -> str:
        """Return a hash of the preprocessing."""
        return fingerprint({"raw_frames": vars(self.preprocessing)})
