"""A vision encoder of one's own, in 30 lines: the pixels of each cell, coarsened. See custom-encoder.yaml."""

from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, pixel_unshuffle

from jepa_vl.registry import register
from jepa_vl.vision.base import Preprocessing, VisionEncoder


@register("vision", "colour_grid")
class ColourGrid(VisionEncoder):
    """Cut each frame into cells and describe a cell by a 4 × 4 mosaic of mean colours.

    Args:
        cells: Rows and columns of cells in a frame.
        num_frames: Frames sampled from a clip.
    """

    def __init__(self, *, cells: int = 4, num_frames: int = 4) -> None:
        super().__init__(frozen=True)  # it has no weights; its tokens may be cached
        self.dim = 3 * 4 * 4
        self.grid = (num_frames, cells, cells)
        self.preprocessing = Preprocessing(size=(64, 64), num_frames=num_frames)

    def forward(self, video: Tensor) -> Tensor:
        """Encode uint8 video ``[B, T, 3, H, W]`` to tokens ``[B, T·cells², 48]``."""
        b, cells = len(video), self.grid[1]
        mosaic = adaptive_avg_pool2d(video.flatten(0, 1).float() / 255, cells * 4)
        return pixel_unshuffle(mosaic, 4).flatten(2).mT.reshape(b, -1, self.dim)

    def fingerprint(self) -> str:
        """Settings alone decide the tokens."""
        return f"colour_grid-{self.grid}"
