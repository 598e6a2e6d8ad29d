from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from jepa_vl.data.shards.description import Features, Frames, Plan, Seen
from jepa_vl.data.shards.packing import (
    opened,
    pack_frames,
    pack_tokens,
    stamped,
    unpack_frames,
    unpack_tokens,
)
from jepa_vl.errors import UserError
from jepa_vl.vision.base import Preprocessing

SEEN = Seen.of(Preprocessing(size=(24, 32), num_frames=3))


def plan(**changes: object) -> Plan:
    settings = {"source": "abc", "seen": SEEN, "frames": Frames(), "clips": 3, "clips_per_shard": 2}
    return Plan.model_validate({**settings, **changes})


@pytest.fixture
def video() -> Tensor:
    """Three smooth frames, as photographs are."""
    y, x = np.mgrid[0:24, 0:32]
    frames = [np.stack([6 * x + t, 8 * y, 3 * x + 3 * y], axis=0) for t in (0, 20, 40)]
    return torch.from_numpy(np.stack(frames).astype(np.uint8))


def test_png_gives_back_every_pixel(video: Tensor) -> None:
    assert torch.equal(unpack_frames(pack_frames(video, Frames(codec="png"))), video)


def test_jpeg_is_smaller_and_nearly_the_same(video: Tensor) -> None:
    noise = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    near = unpack_frames(pack_frames(video, Frames(quality=95))).int()
    assert (near - video.int()).abs().float().mean() < 2
    sizes = [
        sum(map(len, pack_frames(noise, frames))) for frames in (Frames(quality=50), Frames(codec="png"))
    ]
    assert sizes[0] < sizes[1] / 2


def test_a_worse_quality_loses_more(video: Tensor) -> None:
    loss = [
        float((unpack_frames(pack_frames(video, Frames(quality=q))).int() - video.int()).abs().float().mean())
        for q in (10, 95)
    ]
    assert loss[0] > loss[1]


def test_a_frame_that_repeats_the_one_before_is_stored_once(video: Tensor) -> None:
    still = video[:1].expand(5, -1, -1, -1)
    packed = pack_frames(still, Frames(codec="png"))
    assert [len(part) > 0 for part in packed] == [True, False, False, False, False]
    assert torch.equal(unpack_frames(packed), still)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_tokens_come_back_bit_for_bit(dtype: str) -> None:
    features = Features.model_validate(
        {"encoder": "E", "fingerprint": "f", "grid": (2, 1, 2), "dim": 5, "dtype": dtype}
    )
    tokens = torch.randn(4, 5).to(getattr(torch, dtype))
    back = unpack_tokens(pack_tokens(tokens, features), features)
    assert back.dtype == tokens.dtype
    assert torch.equal(back, tokens)
    back[0] = 0  # in memory of its own


def test_an_item_of_another_set_or_with_other_bytes_is_refused() -> None:
    item = stamped(plan(), [b"one", b"two"])
    assert [bytes(part) for part in opened(plan(), item, "here")] == [b"one", b"two"]
    with pytest.raises(UserError, match=r"chunk-1, clip 3: it belongs to another prepared set"):
        opened(plan(source="abd"), item, "chunk-1, clip 3")
    with pytest.raises(UserError, match="damaged"):
        opened(plan(), (item[0], b"one", b"twp"), "here")


@pytest.mark.parametrize(
    "change",
    [
        {"source": "x"},
        {"frames": Frames(quality=90)},
        {"stills": ["test"]},
        {"clips_per_shard": 3},
        {"seen": Seen.of(Preprocessing(size=(24, 32), num_frames=3, resize_mode="squash"))},
    ],
)
def test_the_identity_follows_everything_that_decides_the_content(change: dict[str, object]) -> None:
    assert plan(**change).identity != plan().identity
    assert plan().identity == plan().identity
