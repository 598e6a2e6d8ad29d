from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import Trainer

from jepa_vl.data.feature_cache import NotFiniteError
from jepa_vl.data.records import read_manifest, write_manifest
from jepa_vl.data.shards import extracting, preparing
from jepa_vl.data.shards.description import Frames, read_prepared
from jepa_vl.data.shards.reading import ShardReader
from jepa_vl.data.shards.store import FolderStore, open_store
from jepa_vl.errors import ManifestError, UserError
from jepa_vl.sample import Sample

Make = Callable[..., Path]


def content(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_a_clip_that_samples_share_is_stored_once(make_manifest: Make, prepare_set: Make) -> None:
    folder = prepare_set(make_manifest(train=6, val=3, test=3))
    prepared = read_prepared(open_store(folder))
    assert sum(shard.rows for shard in prepared.shards) == 6 + 3 + 3 + 3  # and single frames of test
    assert {name: (t.samples, t.clips) for name, t in prepared.tables.items()} == {
        "train": (12, 6),
        "val": (6, 3),
        "test": (6, 3),
    }
    assert [shard.rows for shard in prepared.shards] == [2, 2, 2, 2, 1, 2, 1, 2, 1]
    rows = [line.row for line in ShardReader(str(folder)).lines("train")]
    assert rows[::2] == rows[1::2], "caption and question of a clip"


def test_a_clip_of_two_splits_is_stored_once(
    make_manifest: Make, prepare_set: Make, media: SimpleNamespace
) -> None:
    manifest = make_manifest(train=3, val=0, test=0)
    samples = read_manifest(manifest)
    again = Sample(id="again", media="train1", target="seen again", split="val")
    write_manifest(manifest, [*samples, again])
    reader = ShardReader(str(prepare_set(manifest)))
    assert len(reader) == 3
    (line,) = reader.lines("val")
    assert line.row == next(t.row for t in reader.lines("train") if t.sample.media == "train1")


def test_training_clips_are_mixed_and_others_stay_in_order(make_manifest: Make, prepare_set: Make) -> None:
    reader = ShardReader(str(prepare_set(make_manifest(train=20, val=20, test=0))))
    train, val = ([line.row for line in reader.lines(split)][::2] for split in ("train", "val"))
    assert sorted(train) != train
    assert val == sorted(val)
    assert max(train) < min(val), "no shard has clips of two splits"


def test_lists_of_candidates_that_many_share_are_written_once(make_manifest: Make, prepare_set: Make) -> None:
    manifest = make_manifest(train=4, val=0, test=0)
    shared = ("red", "green", "blue")
    own = [
        s.model_copy(update={"candidates": shared, "target": "red"}) if s.query else s
        for s in read_manifest(manifest)
    ]
    write_manifest(manifest, own)
    folder = prepare_set(manifest)
    assert (folder / "samples" / "candidates-0.txt").read_text() == "red\ngreen\nblue\n"
    assert "green" not in (folder / "samples" / "train.jsonl").read_text()
    lines = ShardReader(str(folder)).lines("train")
    assert [line.sample for line in lines] == own
    assert len({id(line.sample.candidates) for line in lines if line.sample.candidates}) == 1


def test_a_shared_list_of_candidates_that_names_one_twice_is_read_back(
    make_manifest: Make, prepare_set: Make
) -> None:
    manifest = make_manifest(train=3, val=0, test=0)
    twice = ("red", "blue", "red")
    samples = [
        s.model_copy(update={"candidates": twice, "target": "red"}) if s.query else s
        for s in read_manifest(manifest)
    ]
    write_manifest(manifest, samples)
    lines = ShardReader(str(prepare_set(manifest))).lines("train")
    assert [line.sample for line in lines] == samples


def test_any_program_with_litdata_can_read_a_set(make_manifest: Make, prepare_set: Make) -> None:
    from litdata import StreamingDataset

    folder = prepare_set(make_manifest(), features=False)
    data = StreamingDataset(str(folder))
    assert len(data) == 12
    stamp, first, _ = data[3]
    assert len(bytes(stamp)) == 12
    assert bytes(first).startswith(b"\x89PNG")


@pytest.mark.parametrize("features", [True, False])
def test_a_preparation_that_was_stopped_goes_on_and_gives_the_same_files(
    make_manifest: Make, prepare_set: Make, monkeypatch: pytest.MonkeyPatch, features: bool
) -> None:
    manifest = make_manifest()
    whole = prepare_set(manifest, output="whole", features=features)
    write = extracting.write_shard

    def until(store: Any, plan: Any, number: int, *args: Any, **options: Any) -> None:
        if number == 3:
            raise KeyboardInterrupt
        write(store, plan, number, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(extracting, "write_shard", until)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            prepare_set(manifest, output="parts", features=features)
    parts = whole.with_name("parts")
    with pytest.raises(UserError, match="was not prepared to its end; run the same"):
        ShardReader(str(parts))
    written = {f.name: f.stat().st_mtime_ns for f in parts.glob("chunk-*")}
    assert len(written) == 3
    (parts / ".scratch-host-1-x").mkdir()  # as a kill leaves it
    (parts / "chunk-0-3.bin").write_bytes(b"half")  # without its note, it is not there
    prepare_set(manifest, output="parts", features=features)
    assert content(parts) == content(whole)
    assert {name: (parts / name).stat().st_mtime_ns for name in written} == written, "not written again"


def test_a_finished_set_stays_as_it_is(make_manifest: Make, prepare_set: Make, objective: Any) -> None:
    manifest = make_manifest()
    folder = prepare_set(manifest)
    times = {f: f.stat().st_mtime_ns for f in folder.rglob("*")}
    calls = objective.vision_encoder.calls
    prepare_set(manifest)
    assert {f: f.stat().st_mtime_ns for f in folder.rglob("*")} == times
    assert objective.vision_encoder.calls == calls


def test_the_number_of_readers_and_the_step_change_nothing(make_manifest: Make, prepare_set: Make) -> None:
    manifest = make_manifest()
    one = prepare_set(manifest, output="one")
    assert content(prepare_set(manifest, output="two", num_workers=2, batch_size=2)) == content(one)


def test_what_differs_from_the_set_that_is_there_is_said(make_manifest: Make, prepare_set: Make) -> None:
    manifest = make_manifest()
    prepare_set(manifest, features=False, frames=Frames(quality=90))
    with pytest.raises(UserError, match=r"in another way \(frames\.quality 90 → 80.*give another --output"):
        prepare_set(manifest, features=False, frames=Frames(quality=80))
    samples = read_manifest(manifest)
    write_manifest(manifest, samples[:-2])
    with pytest.raises(UserError, match=r"other data .*source .* → .*clips 12 → 11"):
        prepare_set(manifest, features=False, frames=Frames(quality=90))


def test_a_folder_with_other_things_in_it_is_left_alone(
    make_manifest: Make, prepare_set: Make, tmp_path: Path
) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match=r"not empty \(it holds 'thesis\.tex'\)"):
        prepare_set(make_manifest())
    assert content(tmp_path / "set") == {"thesis.tex": b"mine"}


# --- bad input


def test_bad_media_are_left_out_with_their_samples_and_reported(
    make_manifest: Make, prepare_set: Make
) -> None:
    manifest = make_manifest()
    for frame in (manifest.parent / "train2").iterdir():
        frame.write_bytes(b"broken")
    with pytest.raises(UserError, match=r"1 clip\(s\) cannot be read; --max-bad allows none") as caught:
        prepare_set(manifest)
    assert "sample 'train2-caption'" in str(caught.value)
    folder = prepare_set(manifest, max_bad=1)  # goes on from there
    prepared = read_prepared(open_store(folder))
    assert (prepared.skipped, prepared.skipped_samples) == (1, 2)
    assert prepared.tables["train"].samples == 10
    text = (folder / "report.txt").read_text()
    assert "skipped: 1 clips that cannot be read, with 2 samples" in text
    assert "sample 'train2-caption'" in text
    assert "corrupt or of an unknown format" in text
    assert {line.sample.media for line in ShardReader(str(folder)).lines("train")} == {
        f"train{i}" for i in (0, 1, 3, 4, 5)
    }


def test_a_shard_of_bad_clips_alone_is_no_file(make_manifest: Make, prepare_set: Make) -> None:
    manifest = make_manifest(train=6, val=2, test=0)
    for name in ("val0", "val1"):
        for frame in (manifest.parent / name).iterdir():
            frame.write_bytes(b"broken " + name.encode())
    folder = prepare_set(manifest, max_bad=2)
    prepared = read_prepared(open_store(folder))
    assert [shard.file for shard in prepared.shards] == [f"chunk-0-{i}.bin" for i in range(3)]
    assert prepared.tables["val"].samples == 0
    reader = ShardReader(str(folder))
    assert [tuple(reader.tokens(row).shape) for row in range(6)] == [(2, 3)] * 6


def test_missing_media_are_said_before_anything_is_written(
    make_manifest: Make, prepare_set: Make, tmp_path: Path
) -> None:
    manifest = make_manifest()
    (manifest.parent / "train3").rename(manifest.parent / "train33")
    with pytest.raises(UserError, match="did you mean 'train33'"):
        prepare_set(manifest)
    assert not (tmp_path / "set").exists()


def test_texts_alone_are_nothing_to_prepare(prepare_set: Make, tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.jsonl", [Sample(id="a", media="", target="x")])
    with pytest.raises(ManifestError, match="no sample has media"):
        prepare_set(tmp_path / "m.jsonl")


def test_nan_tokens_are_refused_with_the_sample(
    make_manifest: Make, prepare_set: Make, tiny: SimpleNamespace
) -> None:
    with pytest.raises(NotFiniteError, match=r"sample '(train|val|test)\d-caption'"):
        prepare_set(make_manifest(), encoder=tiny.encoder(weight=float("nan")))


def test_tokens_are_encoded_in_full_precision_whatever_the_trainer_does(
    make_manifest: Make, prepare_set: Make, objective: Any
) -> None:
    plain = prepare_set(make_manifest(), output="plain", dtype="float32")
    mixed = prepare_set(
        make_manifest(),
        output="mixed",
        dtype="float32",
        trainer={"accelerator": "cpu", "devices": 1, "precision": "bf16-mixed"},
    )
    assert content(plain) == content(mixed)


def test_a_disk_that_fills_up_is_one_error_and_the_work_goes_on_afterwards(
    make_manifest: Make, prepare_set: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    manifest = make_manifest()
    whole = prepare_set(manifest, output="whole")
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if Path(target).name == "chunk-0-4.bin":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(UserError, match=re.escape("is full; free some space and run the same command")):
            prepare_set(manifest, output="set")
    left = {f.name for f in (tmp_path / "set").iterdir()}
    assert left == {"plan.json", "notes", *(f"chunk-0-{i}.bin" for i in range(4))}
    prepare_set(manifest, output="set")
    assert content(tmp_path / "set") == content(whole)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_is_full_while_litdata_writes_is_one_error(
    make_manifest: Make, prepare_set: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from litdata.streaming.writer import BinaryWriter

    def write(self: Any, raw_data: bytes, filename: str, compress: Any = None) -> None:
        with Path("/dev/full").open("wb", buffering=0) as out:
            out.write(raw_data)

    monkeypatch.setattr(BinaryWriter, "write_chunk_to_file", write)
    with pytest.raises(UserError, match="is full"):
        prepare_set(make_manifest())
    assert not list((tmp_path / "set").glob("chunk-*"))


# --- damage


def test_another_format_a_cut_off_shard_and_a_foreign_one_are_each_one_error(
    make_manifest: Make, prepare_set: Make, tmp_path: Path
) -> None:
    folder = prepare_set(make_manifest(), features=False)
    other = prepare_set(make_manifest(), features=False, frames=Frames(codec="jpeg"), output="other")
    reader = ShardReader(str(folder))
    first = folder / "chunk-0-0.bin"
    data = first.read_bytes()
    first.write_bytes(data[:-5])
    with pytest.raises(UserError, match=r"chunk-0-0\.bin', clip 0: the file is missing or cut off"):
        ShardReader(str(folder)).video(0)
    first.write_bytes(data[:-3] + bytes(3 * [data[-4] ^ 1]))
    last = reader.prepared.shards[0].rows - 1
    with pytest.raises(UserError, match=r"clip \d: it is damaged"):
        ShardReader(str(folder)).video(last)
    first.write_bytes((other / "chunk-0-0.bin").read_bytes() + data)
    with pytest.raises(UserError, match="belongs to another prepared set"):
        ShardReader(str(folder)).video(0)
    first.unlink()
    with pytest.raises(UserError, match="missing or cut off"):
        ShardReader(str(folder)).video(0)


def test_sets_of_another_version_and_damaged_descriptions_are_told_apart(
    make_manifest: Make, prepare_set: Make
) -> None:
    folder = prepare_set(make_manifest())
    file = folder / "prepared.json"
    content = json.loads(file.read_text())
    content["plan"]["format"] = 7
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match="is of format 7, this version of jepa-vl reads format 1"):
        ShardReader(str(folder))
    for text in ("{", "[]", '{"plan": {"format": 1}}'):
        file.write_text(text)
        with pytest.raises(UserError, match="is damaged"):
            ShardReader(str(folder))


def test_what_was_prepared_is_described(make_manifest: Make, prepare_set: Make, objective: Any) -> None:
    folder = prepare_set(make_manifest())
    prepared = read_prepared(FolderStore(folder))
    features = prepared.plan.features
    assert features is not None
    assert (features.encoder, features.fingerprint) == (
        "MeanEncoder",
        objective.vision_encoder.fingerprint(),
    )
    assert prepared.labels == ["class 0", "class 1"]
    assert prepared.size == sum(f.stat().st_size for f in folder.glob("chunk-*"))
    reader = ShardReader(str(folder))
    norms = torch.stack([reader.tokens(row).float().norm(dim=-1) for row in range(len(reader))])
    assert prepared.norms is not None
    assert prepared.norms.mean == pytest.approx(float(norms.mean()), rel=1e-5)
    assert (prepared.norms.least, prepared.norms.most) == (float(norms.min()), float(norms.max()))


def test_where_all_shards_are_written_only_the_first_process_finishes(
    make_manifest: Make, prepare_set: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several that did, one took away the notes and the half-written files of the others."""
    manifest = make_manifest()
    whole = content(prepare_set(manifest))
    with monkeypatch.context() as patch:
        patch.setattr(preparing, "finish", lambda *args, **options: "")  # killed before it
        place = prepare_set(manifest, output="killed")
    written = content(place)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "is_global_zero", False)
        prepare_set(manifest, output="killed")
    assert content(place) == written
    prepare_set(manifest, output="killed")
    assert content(place) == whole
