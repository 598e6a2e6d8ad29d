"""A vision encoder whose tokens are averaged in space: fewer of them, to store and to attend to."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import avg_pool2d

from jepa_vl.errors import RecipeError
from jepa_vl.vision.base import VisionEncoder
from jepa_vl.vision.fingerprint import fingerprint


class PooledVision(VisionEncoder):
    """Another encoder, of whose tokens each square of ``pool`` × ``pool`` becomes one: their mean.

    Args:
        vision_encoder: The encoder.
        pool: Side of a square, in tokens.

    Raises:
        RecipeError: The encoder's grid cannot be cut into such squares.
    """

    def __init__(self, *, vision_encoder: VisionEncoder, pool: int = 2) -> None:
        super().__init__(frozen=vision_encoder.frozen)
        time, height, width = vision_encoder.grid
        if pool < 1 or height % pool or width % pool:
            raise RecipeError(
                f"pool {pool} does not divide the {height} × {width} tokens that "
                f"{type(vision_encoder).__name__} gives"
            )
        self.encoder = vision_encoder
        self.pool = pool
        self.dim = vision_encoder.dim
        self.grid = (time, height // pool, width // pool)
        self.preprocessing = vision_encoder.preprocessing
        self.per_frame = vision_encoder.per_frame

    def forward(self, video: Tensor) -> Tensor:
        """Encode uint8 ``[B, T, C, H, W]`` to tokens ``[B, N / pool², D]``."""
        return self._pooled(self.encoder(video))

    def encode_frames(self, frames: Tensor) -> Tensor:
        """Encode F frames, each by itself, as the encoder does."""
        return self.encoder.encode_frames(frames)

    def join_frames(self, encoded: Tensor) -> Tensor:
        """Join the frames of clips as the encoder does, and pool."""
        return self._pooled(self.encoder.join_frames(encoded))

    def fingerprint(self) -> str:
        """Return a hash of the encoder and of how much is pooled."""
        return fingerprint({"encoder": self.encoder.fingerprint(), "pool": self.pool})

    def _pooled(self, tokens: Tensor) -> Tensor:
        _, height, width = self.encoder.grid
        cells = tokens.unflatten(1, (-1, height, width))  # [B, T', H', W', D]
        moved = cells.flatten(0, 1).movedim(-1, 1)  # [B·T', D, H', W']
        small = avg_pool2d(moved, self.pool).movedim(1, -1)  # [B·T', H'/p, W'/p, D]
        return small.reshape(len(tokens), -1, self.dim)
