"""Object storage, against a server on this machine that speaks S3's protocol."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import torch
from botocore.response import StreamingBody

from jepa_vl.cache import cache_dir
from jepa_vl.data import clips
from jepa_vl.data.shards import extracting
from jepa_vl.data.shards.data import GIB, ShardsData
from jepa_vl.data.shards.reading import ShardReader
from jepa_vl.data.shards.store import open_store
from jepa_vl.data.video import MediaError
from jepa_vl.errors import UserError

Make = Callable[..., Any]


def stored(place: Any) -> dict[str, bytes]:
    store = open_store(place)
    found = {name: store.read(name) for name in sorted(store.names())}
    return {name: data for name, data in found.items() if data is not None}


def copies() -> list[str]:
    return sorted(f.name for f in cache_dir("shards").rglob("*.bin"))


def streamed(objective: Any, url: str, stage: str = "fit", **settings: Any) -> ShardsData:
    data = ShardsData(shards=url, batch_size=4, **settings)
    data.attach(objective)
    data.prepare_data()
    data.setup(stage)
    return data


def test_a_set_on_object_storage_is_the_set_of_a_folder(
    make_manifest: Make, prepare_set: Make, bucket: str
) -> None:
    manifest = make_manifest()
    assert stored(prepare_set(manifest, output=f"{bucket}/some/where")) == stored(prepare_set(manifest))


@pytest.mark.slow
def test_a_preparation_that_was_stopped_goes_on(
    make_manifest: Make, prepare_set: Make, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = make_manifest()
    write = extracting.write_shard

    def until(store: Any, plan: Any, number: int, *args: Any, **options: Any) -> None:
        if number == 3:
            raise KeyboardInterrupt
        write(store, plan, number, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(extracting, "write_shard", until)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            prepare_set(manifest, output=bucket)
    with pytest.raises(UserError, match="was not prepared to its end"):
        ShardReader(bucket)
    prepare_set(manifest, output=bucket)
    assert stored(bucket) == stored(prepare_set(manifest))


def test_copies_of_a_set_are_not_used_for_one_in_which_other_clips_could_be_read(
    make_manifest: Make, prepare_set: Make, bucket: str, objective: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are others, and its plan is the same."""
    manifest = make_manifest()
    read = clips.read_clip

    def fails_once(path: str, *args: Any, **options: Any) -> torch.Tensor:
        if path.endswith("train3"):
            raise MediaError("stale file handle")
        return read(path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(clips, "read_clip", fails_once)
        prepare_set(manifest, output=bucket, max_bad=1)
    before = streamed(objective, bucket).sample_set("train")
    before[0]  # copies its shard
    store = open_store(bucket)
    for name in store.names():
        store.remove(name)
    prepare_set(manifest, output=bucket)
    after = streamed(objective, bucket).sample_set("train")
    local = streamed(objective, str(prepare_set(manifest))).sample_set("train")
    assert after.samples == local.samples != before.samples
    for i in range(len(local)):
        assert torch.equal(after[i].tokens, local[i].tokens)  # type: ignore[arg-type]


@pytest.mark.parametrize("features", [True, False])
def test_streamed_batches_are_those_of_the_folder(
    make_manifest: Make, prepare_set: Make, bucket: str, objective: Any, features: bool
) -> None:
    manifest = make_manifest()
    local = prepare_set(manifest, features=features)
    remote = prepare_set(manifest, features=features, output=bucket)
    one, other = (
        streamed(objective, str(place), shuffle_shards=2).train_dataloader() for place in (local, remote)
    )
    for a, b in zip(one, other, strict=True):
        assert [s.id for s in a.samples] == [s.id for s in b.samples]
        kind = "tokens" if features else "video"
        assert torch.equal(getattr(a, kind), getattr(b, kind))


@pytest.mark.slow
def test_workers_of_their_own_stream_as_well(
    make_manifest: Make, prepare_set: Make, bucket: str, objective: Any
) -> None:
    """A client that was made before a fork is not used after it."""
    data = streamed(objective, prepare_set(make_manifest(), output=bucket), num_workers=2)
    data.sample_set("train")[0]
    assert len(list(data.train_dataloader())) == 3


def test_a_shard_is_fetched_once_and_only_when_it_is_needed(
    make_manifest: Make, prepare_set: Make, bucket: str, objective: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = streamed(objective, prepare_set(make_manifest(), output=bucket))
    assert copies() == []
    list(data.val_dataloader()[0])
    assert copies() == ["chunk-0-3.bin", "chunk-0-4.bin"], "the shards of val"
    from jepa_vl.data.shards.bucket import BucketStore

    fetched: list[str] = []
    fetch = BucketStore.fetch
    monkeypatch.setattr(
        BucketStore, "fetch", lambda self, name, to: (fetched.append(name), fetch(self, name, to))
    )
    for _ in range(2):
        list(data.train_dataloader())
    assert sorted(fetched) == [f"chunk-0-{i}.bin" for i in range(3)]


@pytest.mark.slow
def test_local_copies_stay_within_the_limit_and_the_batches_are_the_same(
    make_manifest: Make, prepare_set: Make, bucket: str, objective: Any
) -> None:
    url = prepare_set(make_manifest(train=40), output=bucket)
    size = ShardReader(url).prepared.shards[0].size
    free = [[s.id for s in b.samples] for b in streamed(objective, url, shuffle_shards=3).train_dataloader()]
    for copy in cache_dir("shards").rglob("*.bin"):
        copy.unlink()
    tight = streamed(objective, url, shuffle_shards=3, cache_limit_gib=4 * size / GIB)
    most = 0
    for expected, batch in zip(free, tight.train_dataloader(), strict=True):
        assert [s.id for s in batch.samples] == expected
        most = max(most, len(copies()))
    assert 3 <= most <= 4


def test_a_limit_that_cannot_hold_what_is_mixed_is_said_before_training(
    make_manifest: Make, prepare_set: Make, bucket: str, objective: Any
) -> None:
    url = prepare_set(make_manifest(), output=bucket)
    size = ShardReader(url).prepared.shards[0].size
    with pytest.raises(UserError, match="Set 'shuffle_shards'"):
        streamed(objective, url, cache_limit_gib=4 * size / GIB).train_dataloader()
    with pytest.raises(UserError, match=r"shuffle_shards 4 .* keeps .* raise the limit or mix fewer"):
        streamed(objective, url, cache_limit_gib=4 * size / GIB, shuffle_shards=4).train_dataloader()
    with pytest.raises(UserError, match=r"data\.cache_limit_gib of .* holds no shard"):
        streamed(objective, url, cache_limit_gib=0.5 * size / GIB).sample_set("train")[0]


@pytest.mark.slow
def test_a_set_that_is_prepared_anew_is_not_read_from_old_copies(
    make_manifest: Make, prepare_set: Make, bucket: str, objective: Any, tiny: Any
) -> None:
    url = prepare_set(make_manifest(), output=bucket)
    before = streamed(objective, url).sample_set("train")[0].tokens
    store = open_store(url)
    for name in store.names():
        store.remove(name)
    other = tiny.objective(tiny.encoder(weight=3.0))
    prepare_set(make_manifest(), output=bucket, encoder=other.vision_encoder)
    after = streamed(other, url).sample_set("train")[0].tokens
    assert not torch.equal(after, before)


# --- what goes wrong


def test_a_missing_bucket_and_a_missing_set_are_told_apart(bucket: str) -> None:
    with pytest.raises(UserError, match=r"holds no prepared data"):
        ShardReader(f"{bucket}/nothing")
    with pytest.raises(
        UserError, match=r"'s3://no-such-bucket/x' cannot be used: http.* bucket does not exist"
    ):
        ShardReader("s3://no-such-bucket/x")


def test_a_server_that_is_not_there_is_one_error_in_bounded_time(
    make_manifest: Make, prepare_set: Make, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    begun = time.monotonic()
    with pytest.raises(UserError, match=r"127\.0\.0\.1:\d+ said: Could not connect to the endpoint"):
        ShardReader("s3://bucket/x")
    with pytest.raises(UserError, match="Endpoint, region and credentials come from"):
        prepare_set(make_manifest(), output="s3://bucket/x")
    assert time.monotonic() - begun < 60


def test_missing_credentials_are_said(bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps what it has found once
    with pytest.raises(UserError, match="Unable to locate credentials"):
        ShardReader(f"{bucket}/x")


def test_the_endpoint_may_stand_in_the_recipe(
    make_manifest: Make, prepare_set: Make, bucket: str, objective: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = prepare_set(make_manifest(), output=bucket)
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    data = streamed(objective, url, storage_options={"endpoint_url": endpoint})
    assert data.sample_set("train")[0].tokens is not None


def test_what_a_kill_may_leave_of_a_copy_has_the_name_under_which_it_is_fetched_again(
    make_manifest: Make, prepare_set: Make, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_set(make_manifest(), output=bucket)
    folder = tmp_path / "copies"
    folder.mkdir()
    seen: set[str] = set()
    read = StreamingBody.read

    def looking(body: StreamingBody, **options: Any) -> bytes:
        seen.update(file.name for file in folder.iterdir())
        return read(body, **options)

    monkeypatch.setattr(StreamingBody, "read", looking)
    open_store(bucket).fetch("chunk-0-0.bin", folder / "chunk-0-0.bin.part")
    assert seen == {"chunk-0-0.bin.part"}


def test_a_full_disk_while_a_shard_is_fetched_is_one_error_and_leaves_no_half(
    make_manifest: Make, prepare_set: Make, bucket: str, objective: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jepa_vl.data.shards.bucket import BucketStore

    def full(self: Any, name: str, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    data = streamed(objective, prepare_set(make_manifest(), output=bucket))
    with monkeypatch.context() as patch:
        patch.setattr(BucketStore, "fetch", full)
        with pytest.raises(UserError, match=r"the disk is full: .* keeps copies of 's3://"):
            data.sample_set("train")[0]
    left = {f.suffix for f in cache_dir("shards").rglob("chunk-*")}
    assert left <= {".lock"}
    assert data.sample_set("train")[0].tokens is not None


def test_a_shard_of_another_size_than_the_set_says_is_refused(
    make_manifest: Make, prepare_set: Make, bucket: str, objective: Any
) -> None:
    data = streamed(objective, prepare_set(make_manifest(), output=bucket))
    for number in range(3):
        open_store(bucket).write(f"chunk-0-{number}.bin", b"short")
    with pytest.raises(UserError, match=r"chunk-0-\d\.bin' has 5 bytes, [\d,]+ were expected"):
        data.sample_set("train")[0]


@pytest.mark.parametrize("place", ["gs://bucket/x", "s3://", "https://host/x"])
def test_other_places_are_refused(place: str) -> None:
    with pytest.raises(UserError, match=r"expected (a folder, or )?s3://bucket/prefix"):
        open_store(place)
