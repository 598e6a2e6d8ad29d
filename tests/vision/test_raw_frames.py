from __future__ import annotations

import torch

from jepa_vl.vision.raw_frames import RawFrames


def test_frames_go_through_untouched_and_are_not_cached() -> None:
    encoder = RawFrames(num_frames=2, size=4, resize_mode="longest")
    video = torch.randint(0, 256, (3, 2, 3, 4, 4), dtype=torch.uint8)
    tokens = encoder(video)
    assert torch.equal(tokens.unflatten(2, (3, 4, 4)), video)
    assert tokens.shape[1:] == (encoder.grid[0], encoder.dim)
    assert not encoder.frozen


def test_another_way_to_read_is_another_fingerprint() -> None:
    ways = [(2, 4, "longest"), (3, 4, "longest"), (2, 8, "longest"), (2, 4, "squash")]
    prints = {RawFrames(num_frames=t, size=s, resize_mode=m).fingerprint() for t, s, m in ways}
    assert len(prints) == len(ways)
