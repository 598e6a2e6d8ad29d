"""The contract of a vision encoder (the paper's X-Encoder, X_V → S_V)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor

from jepa_vl.component import Component


@dataclass(frozen=True)
class Preprocessing:
    """What a data module must know to read media for an encoder.

    Attributes:
        size: Height and width in pixels; a frame is resized (shorter side) and centre-cropped to it.
        num_frames: Frames sampled uniformly from a clip; an image is a video of one frame, repeated.
        mean: Per-channel mean the encoder subtracts, of pixels in [0, 1].
        std: Per-channel standard deviation the encoder divides by.
        interpolation: ``bilinear``, ``bicubic`` or ``nearest``.
    """

    size: tuple[int, int]
    num_frames: int
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    interpolation: str = "bicubic"


class VisionEncoder(Component):
    """Video ``[B, T, C, H, W]`` → tokens ``[B, N, D]``.

    The video is uint8 RGB at ``preprocessing.size``; the encoder normalises it itself, on its own
    device. A frozen encoder is deterministic, so that its tokens can be cached on disk once.

    Attributes:
        dim: D, the width of a token.
        grid: (time, height, width) of the tokens; N is their product.
        preprocessing: How media is read for it.
    """

    dim: int
    grid: tuple[int, int, int]
    preprocessing: Preprocessing

    @abstractmethod
    def forward(self, video: Tensor) -> Tensor:
        """Encode uint8 video ``[B, T, C, H, W]`` to tokens ``[B, N, D]``."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash of weights and settings: equal means equal tokens for equal frames."""
