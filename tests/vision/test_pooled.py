from __future__ import annotations

import hashlib

import pytest
import torch
from torch import Tensor

from jepa_vl.errors import RecipeError
from jepa_vl.vision.base import Preprocessing, VisionEncoder
from jepa_vl.vision.pooled import PooledVision


class Cells(VisionEncoder):
    """A token for each frame and pixel: its colour."""

    dim, grid, per_frame = 3, (2, 4, 6), True
    preprocessing = Preprocessing(size=(4, 6), num_frames=2)

    def forward(self, video: Tensor) -> Tensor:
        return video.float().movedim(2, -1).flatten(1, 3)  # [B, T, C, H, W] → [B, T·H·W, C]

    def fingerprint(self) -> str:
        return hashlib.sha256(b"cells").hexdigest()


def slowly(video: Tensor, pool: int) -> Tensor:
    """Mean of each square, cell by cell."""
    rows = []
    for clip in video.float():
        tokens = []
        for frame in clip:
            for y in range(0, 4, pool):
                for x in range(0, 6, pool):
                    tokens.append(frame[:, y : y + pool, x : x + pool].mean(dim=(1, 2)))
        rows.append(torch.stack(tokens))
    return torch.stack(rows)


def test_a_token_is_the_mean_of_its_square() -> None:
    video = torch.randint(0, 256, (3, 2, 3, 4, 6), dtype=torch.uint8)
    pooled = PooledVision(vision_encoder=Cells(frozen=True), pool=2)
    assert pooled.grid == (2, 2, 3)
    torch.testing.assert_close(pooled(video), slowly(video, 2))


def test_frames_of_a_stream_join_to_the_clip_s_tokens() -> None:
    video = torch.randint(0, 256, (2, 2, 3, 4, 6), dtype=torch.uint8)
    pooled = PooledVision(vision_encoder=Cells(frozen=True), pool=2)
    encoded = pooled.encode_frames(video.flatten(0, 1)).unflatten(0, (2, 2))
    torch.testing.assert_close(pooled.join_frames(encoded), pooled(video))


def test_it_is_frozen_as_the_encoder_is_and_another_one_for_its_features() -> None:
    one, two = (PooledVision(vision_encoder=Cells(frozen=True), pool=p) for p in (1, 2))
    assert one.frozen
    assert len({Cells().fingerprint(), one.fingerprint(), two.fingerprint()}) == 3
    assert not PooledVision(vision_encoder=Cells(), pool=2).frozen


@pytest.mark.parametrize("pool", [0, 4, 5])
def test_a_grid_that_cannot_be_cut_is_refused_with_its_size(pool: int) -> None:
    with pytest.raises(RecipeError, match=rf"pool {pool} does not divide the 4 × 6 tokens that Cells gives"):
        PooledVision(vision_encoder=Cells(), pool=pool)
