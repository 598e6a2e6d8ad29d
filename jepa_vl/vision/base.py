"""The contract of a vision encoder (the paper's X-Encoder, X_V → S_V)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, fields
from typing import Literal

from torch import Tensor

from jepa_vl.component import Component

ResizeMode = Literal["shortest", "squash", "longest"]


@dataclass(frozen=True)
class Preprocessing:
    """What a data module must know to read media for an encoder.

    Attributes:
        size: Height and width in pixels; a frame is brought to it as ``resize_mode`` says.
        num_frames: Frames sampled uniformly from a clip; an image is a video of one frame, repeated.
        mean: Per-channel mean the encoder subtracts, of pixels in [0, 1].
        std: Per-channel standard deviation the encoder divides by.
        interpolation: ``bilinear``, ``bicubic`` or ``nearest``.
        resize_mode: ``shortest`` resizes the shorter side and cuts out the centre, ``squash`` gives up the
            ratio of the sides, ``longest`` resizes the longer side and fills up with black.
        resize_to: Side in pixels that ``shortest`` resizes to before the cut; that of the cut if omitted.
    """

    size: tuple[int, int]
    num_frames: int
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    interpolation: str = "bicubic"
    resize_mode: ResizeMode = "shortest"
    resize_to: int | None = None

    def __repr__(self) -> str:
        # what is cached on disk is named after it: a field that came later is shown only where it is used
        later = {"resize_mode", "resize_to"}
        shown = {f.name: getattr(self, f.name) for f in fields(self)}
        unused = {f.name for f in fields(self) if f.name in later and shown[f.name] == f.default}
        return f"Preprocessing({', '.join(f'{k}={v!r}' for k, v in shown.items() if k not in unused)})"


class VisionEncoder(Component):
    """Video ``[B, T, C, H, W]`` → tokens ``[B, N, D]``.

    The video is uint8 RGB at ``preprocessing.size``; the encoder normalises it itself, on its own
    device. A frozen encoder is deterministic, so that its tokens can be cached on disk once.

    Attributes:
        dim: D, the width of a token.
        grid: (time, height, width) of the tokens; N is their product.
        preprocessing: How media is read for it.
        per_frame: Whether a frame is encoded without a look at the others, so that overlapping windows of a
            stream can share it: ``forward(video)`` equals `join_frames` of `encode_frames` of its frames.
    """

    dim: int
    grid: tuple[int, int, int]
    preprocessing: Preprocessing
    per_frame: bool = False

    @abstractmethod
    def forward(self, video: Tensor) -> Tensor:
        """Encode uint8 video ``[B, T, C, H, W]`` to tokens ``[B, N, D]``."""

    def encode_frames(self, frames: Tensor) -> Tensor:
        """Encode F frames, uint8 ``[F, C, H, W]``, each by itself: ``[F, …]``. Only where ``per_frame``."""
        return self(frames.unsqueeze(1))  # [F, N/T, D]

    def join_frames(self, encoded: Tensor) -> Tensor:
        """Join T frames of B clips, as `encode_frames` gives them, ``[B, T, …]``, to tokens ``[B, N, D]``."""
        return encoded.flatten(1, 2)  # [B, T, N/T, D] → [B, N, D]

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash of weights and settings: equal means equal tokens for equal frames."""
