from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jepa_vl.data.catalogue import Catalogue
from jepa_vl.data.shards.description import Features, Frames
from jepa_vl.data.shards.packing import pack_frames
from jepa_vl.data.shards.planning import clips_per_shard, groups_of, shards_of
from jepa_vl.errors import UserError
from jepa_vl.vision.base import Preprocessing

SEEN = Preprocessing(size=(8, 8), num_frames=2)
TOKENS = Features(encoder="E", fingerprint="f", grid=(2, 4, 4), dim=10)


def test_a_shard_of_tokens_is_as_large_as_asked_for(make_manifest: Callable[..., Path]) -> None:
    groups = groups_of(Catalogue([make_manifest()]))
    each = 2 * 4 * 4 * 10 * 2
    assert clips_per_shard(5 * each, groups, TOKENS, SEEN) == 5
    assert clips_per_shard(1, groups, TOKENS, SEEN) == 1
    wide = TOKENS.model_copy(update={"dtype": "float32"})
    assert clips_per_shard(5 * each, groups, wide, SEEN) == 2


def test_a_shard_of_pictures_is_measured_and_bad_media_are_passed_over(
    make_manifest: Callable[..., Path],
) -> None:
    manifest = make_manifest()
    frames = Frames(codec="png")
    catalogue = Catalogue([manifest])
    groups = groups_of(catalogue)
    sizes = [sum(map(len, pack_frames(e.clip.read(SEEN), frames))) for group in groups for e in group]
    count = clips_per_shard(1000, groups, frames, SEEN)
    assert 1000 / max(sizes) - 1 < count <= 1000 / min(sizes)
    (manifest.parent / groups[0][0].clip.path / "0.png").write_bytes(b"broken")
    assert abs(clips_per_shard(1000, groups, frames, SEEN) - count) <= 1


def test_what_litdata_cannot_address_is_refused(make_manifest: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match=r"a shard of 4,096 MiB is too large"):
        clips_per_shard(2**32, groups_of(Catalogue([make_manifest()])), TOKENS, SEEN)


def test_shards_hold_every_clip_once_and_never_two_groups(make_manifest: Callable[..., Path]) -> None:
    groups = groups_of(Catalogue([make_manifest(train=7, val=4, test=2)]), stills=["test"])
    assert [len(group) for group in groups] == [7, 4, 2, 2]
    shards = shards_of(groups, 3)
    assert [len(shard) for shard in shards] == [3, 3, 1, 3, 1, 2, 2]
    assert [e for shard in shards for e in shard] == [e for group in groups for e in group]
    assert [e.single_frame for e in groups[3]] == [True, True]
    assert [e.clip for e in groups[3]] == [e.clip for e in groups[2]]
