"""EfficientNet-Lite0 as a vision encoder: several feature maps on one grid, frames merged to tubelets."""

from __future__ import annotations

import torch
from torch import Tensor

from jepa_vl.errors import RecipeError
from jepa_vl.registry import register
from jepa_vl.vision.base import Preprocessing, VisionEncoder
from jepa_vl.vision.fingerprint import fingerprint
from jepa_vl.vision.frames import normalised
from jepa_vl_offline.cells import merge_frames, to_grid
from jepa_vl_offline.lite0_network import LAST_BLOCK, WHEEL, Lite0Network

#: Frames in one pass of the network; more gain nothing and take memory.
FRAMES_PER_PASS = 32


@register("vision", "efficientnet_lite0")
class EfficientNetLite0(VisionEncoder):
    """A small ImageNet network (Apache-2.0, from pip) whose tokens keep position and change.

    Each frame's feature maps are brought to the same grid of cells (finer ones by space-to-depth) and
    joined; the frames of a tubelet are joined in turn. The network runs only as deep as the deepest map.

    Args:
        image_size: Height and width of a frame in pixels; a multiple of the deepest stride.
        num_frames: Frames of a clip; a multiple of ``tubelet``.
        strides: Feature maps used, by their stride in pixels: any of 2, 4, 8, 16, 32.
        grid: Cells per side; must divide, or be a multiple of, the side of each map.
        tubelet: Frames merged into one token.
        difference: Whether a tubelet's later frames are given as differences to the frame before.
        frozen: Whether the weights stay as they are; tokens of a frozen encoder can be cached.

    Raises:
        RecipeError: Sizes that do not divide, or an unknown stride.
    """

    per_frame = True  # the network is; frames are merged afterwards

    def __init__(
        self,
        *,
        image_size: int = 64,
        num_frames: int = 4,
        strides: tuple[int, ...] = (8, 16),
        grid: int = 4,
        tubelet: int = 1,
        difference: bool = True,
        frozen: bool = True,
    ) -> None:
        super().__init__(frozen=frozen)
        strides = _checked(image_size=image_size, strides=strides, grid=grid)
        if tubelet < 1 or num_frames < 1 or num_frames % tubelet:
            raise RecipeError(f"num_frames ({num_frames}) must be a positive multiple of tubelet ({tubelet})")
        self.settings = {
            "image_size": image_size,
            "num_frames": num_frames,
            "strides": strides,
            "grid": grid,
            "tubelet": tubelet,
            "difference": difference,
        }
        self.cells_per_side, self.tubelet, self.difference = grid, tubelet, difference
        # the batch norms' statistics are those of pixels normalised so, and not by ImageNet's deviation
        self.preprocessing = Preprocessing(
            size=(image_size, image_size),
            num_frames=num_frames,
            mean=(127 / 255,) * 3,
            std=(128 / 255,) * 3,
        )
        self.grid = (num_frames // tubelet, grid, grid)
        widths = [LAST_BLOCK[s][1] * max(image_size // s // grid, 1) ** 2 for s in strides]
        self.dim = tubelet * sum(widths)
        self.network = Lite0Network(image_size=image_size, strides=strides, folded=frozen)
        if frozen:
            self.freeze_part(self.network)

    def forward(self, video: Tensor) -> Tensor:
        """Encode uint8 ``[B, T, C, H, W]`` to tokens ``[B, N, D]``."""
        cells = self.encode_frames(video.flatten(0, 1))  # [B·T, c, G, G]
        return self.join_frames(cells.unflatten(0, video.shape[:2]))

    def encode_frames(self, frames: Tensor) -> Tensor:
        """Encode uint8 ``[F, C, H, W]`` to cells ``[F, c, G, G]``."""
        return torch.cat([self._cells(part) for part in frames.split(FRAMES_PER_PASS)])

    def join_frames(self, encoded: Tensor) -> Tensor:
        """Merge the frames' cells ``[B, T, c, G, G]`` to tokens ``[B, N, D]``."""
        cells = encoded.permute(0, 1, 3, 4, 2)  # [B, T, G, G, c]
        return merge_frames(cells, self.tubelet, difference=self.difference)

    def _cells(self, frames: Tensor) -> Tensor:
        """Encode frames ``[F, C, H, W]`` to cells ``[F, c, G, G]``."""
        maps = self.network(normalised(frames, self.preprocessing, self.network.dtype))
        return torch.cat([to_grid(m, self.cells_per_side) for m in maps], dim=1)

    def fingerprint(self) -> str:
        """Return a hash of the weights file and the settings; of the weights themselves if they learn."""
        settings = {"encoder": "efficientnet_lite0", "weights": dict(WHEEL.files), **self.settings}
        return fingerprint(settings, None if self.frozen else self.network)


def _checked(*, image_size: int, strides: tuple[int, ...], grid: int) -> tuple[int, ...]:
    """Return the strides, rising and each once.

    Raises:
        RecipeError: There is no such map, or it does not fit the grid.
    """
    known = ", ".join(map(str, LAST_BLOCK))
    unknown = [s for s in strides if s not in LAST_BLOCK]
    if unknown or not strides:
        found = unknown[0] if unknown else "nothing"
        raise RecipeError(f"strides: found {found}, expected one or more of {known}")
    deepest = max(strides)
    if image_size < deepest or image_size % deepest:
        below = image_size // deepest * deepest
        near = " or ".join(str(n) for n in (below, below + deepest) if n)
        raise RecipeError(
            f"image_size {image_size} is not a multiple of {deepest}, the deepest of strides; nearest: {near}"
        )
    for stride in strides:
        side = image_size // stride
        if grid < 1 or (side % grid and grid % side):
            fitting = ", ".join(str(g) for g in range(1, side + 1) if side % g == 0)
            raise RecipeError(
                f"grid {grid} does not fit the map of stride {stride}, {side}×{side} places at "
                f"image_size {image_size}; choose from {fitting}, or a multiple of {side}"
            )
    return tuple(sorted(set(strides)))
