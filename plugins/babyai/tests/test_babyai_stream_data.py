"""Streams as data: videos, manifests, the data module."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from jepa_vl_babyai.episodes import draw
from jepa_vl_babyai.settings import HELD_OUT
from jepa_vl_babyai.stream_data import BabyAIStreams
from jepa_vl_babyai.stream_records import BACKGROUND, media
from jepa_vl_babyai.stream_render import render_streams, stream_files, stream_hash, streams_complete
from jepa_vl_babyai.stream_settings import FPS, StreamSettings
from jepa_vl_babyai.stream_sheet import stream_sheet
from jepa_vl_babyai.streams import Story, tell

from jepa_vl.data.records import read_manifest
from jepa_vl.data.video import read_clip, video_length
from jepa_vl.data.windows import STREAM
from jepa_vl.registry.table import Table
from jepa_vl.sample import WINDOW, Sample
from jepa_vl.vision.base import Preprocessing

SMALL = StreamSettings(train_streams=3, val_streams=1, test_streams=2, shortest=30, longest=40)
SIZES = {"train_streams": 1, "val_streams": 1, "test_streams": 1, "shortest": 20, "longest": 20}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams") / "data"
    render_streams(SMALL, folder)
    return folder


@pytest.fixture(scope="module")
def manifests(folder: Path) -> dict[str, list[Sample]]:
    return {file.stem: read_manifest(file) for file in stream_files(SMALL, folder)}


def story(split: str, number: int) -> Story:
    return tell(SMALL, split, number)


def test_a_decoded_video_equals_what_was_drawn(folder: Path) -> None:
    told = story("test", 1)
    file = folder / media("test", 1)
    with av.open(str(file)) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert np.array_equal(frames, draw(told.views, told.agents, SMALL.tile))
    assert video_length(str(file)) == pytest.approx(told.seconds)


def test_a_sample_reads_the_four_frames_that_it_is_about(
    folder: Path, manifests: dict[str, list[Sample]]
) -> None:
    as_stored = Preprocessing(size=(64, 64), num_frames=4)
    for split, samples in manifests.items():
        told = story(split, 0)
        frames = draw(told.views, told.agents, SMALL.tile)
        mine = [s for s in samples if s.media == media(split, 0)]
        for sample in mine[:: len(mine) // 10]:
            assert sample.start is not None
            video = read_clip(str(folder / sample.media), as_stored, start=sample.start, end=sample.end)
            first = round(sample.start * FPS)
            assert np.array_equal(video.permute(0, 2, 3, 1).numpy(), frames[first : first + 4])


def test_annotations_stand_in_the_middle_of_their_window(manifests: dict[str, list[Sample]]) -> None:
    for split in ("val", "test"):
        annotations = [s for s in manifests[split] if s.kind == STREAM]
        numbers = {s.media: int(Path(s.media).stem) for s in annotations}
        told = [h.second for n in sorted(numbers.values()) for h in story(split, n).happenings]
        assert [s.timestamps for s in annotations] == [(second,) for second in told]
        for s in annotations:
            assert (s.start, s.end) == (s.timestamps[0] - 0.5, s.timestamps[0] + 0.5)  # type: ignore[index]
            assert s.target
            assert not s.query


def test_windows_follow_each_stream_to_its_end(manifests: dict[str, list[Sample]]) -> None:
    for split in ("val", "test"):
        for number in range(SMALL.streams(split)):
            windows = [s for s in manifests[split] if s.kind == WINDOW and s.media == media(split, number)]
            length = story(split, number).seconds
            assert [s.start for s in windows] == list(np.arange(0, length - 0.5, 0.5))
            assert {s.end - s.start for s in windows} == {1.0}  # type: ignore[operator]
            assert windows[-1].end == length


def test_every_training_window_has_a_text_and_at_most_a_third_shows_no_event(
    manifests: dict[str, list[Sample]],
) -> None:
    samples = manifests["train"]
    lessons = [s for s in manifests["val"] if s.kind not in (STREAM, WINDOW)]
    assert {s.kind for s in samples} >= {s.kind for s in lessons} >= {BACKGROUND, "pick up"}
    assert all(s.target and not s.query and s.role == "caption" for s in samples)
    assert len({(s.media, s.start) for s in samples}) == len(samples)
    kinds = Counter(s.kind for s in samples)
    assert 0.2 < kinds[BACKGROUND] / len(samples) <= 1 / 3
    steps = [{h.event.step for h in story("train", n).happenings} for n in range(SMALL.train_streams)]
    for s in samples:
        first = round(s.start * FPS)  # type: ignore[operator]
        shows = steps[int(Path(s.media).stem)] & set(range(first, first + 3))
        assert len(shows) == (s.kind != BACKGROUND)


def test_texts_of_one_group_are_ways_to_say_the_same(manifests: dict[str, list[Sample]]) -> None:
    said: dict[str, set[str]] = {}
    for s in manifests["train"]:
        if s.kind == BACKGROUND:
            said.setdefault(str(s.group), set()).add(s.target)
    assert {"background|walk", "background|wait"} < set(said)
    assert "the agent walks" not in said["background|wait"]
    assert len(set.union(*said.values())) == sum(map(len, said.values()))


def test_splits_share_no_stream_and_nothing_held_out_is_said(manifests: dict[str, list[Sample]]) -> None:
    episodes = [{s.episode for s in samples} for samples in manifests.values()]
    assert len(set.union(*episodes)) == sum(map(len, episodes)) == SMALL.total
    meanings = {tuple(s.group.split("|")[:3]) for samples in manifests.values() for s in samples if s.group}
    assert not meanings & HELD_OUT


@pytest.mark.slow
def test_another_process_with_two_workers_renders_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from jepa_vl_babyai.stream_render import render_streams; "
        "from jepa_vl_babyai.stream_settings import StreamSettings\n"
        f"if __name__ == '__main__': render_streams({SMALL!r}, Path({str(tmp_path / 'other')!r}), workers=2)"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    path = os.pathsep.join(sys.path)
    subprocess.run([sys.executable, str(script)], check=True, env={**os.environ, "PYTHONPATH": path})
    files = sorted(f.relative_to(folder) for f in folder.rglob("*") if f.is_file())
    assert len(files) == SMALL.total + 4
    for file in files:
        assert (folder / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_complete_streams_are_kept_and_others_have_another_name(folder: Path) -> None:
    made = (folder / "train.jsonl").stat().st_mtime_ns
    render_streams(SMALL, folder)
    assert (folder / "train.jsonl").stat().st_mtime_ns == made
    assert streams_complete(SMALL, folder)
    changed = {name: getattr(SMALL, name) + 1 for name in SMALL.__dataclass_fields__}
    assert len(
        {stream_hash(SMALL), *(stream_hash(replace(SMALL, **{k: v})) for k, v in changed.items())}
    ) == 1 + len(changed)
    assert not streams_complete(replace(SMALL, seed=1), folder)


def test_workers_import_neither_torch_nor_lightning() -> None:
    code = "import sys, jepa_vl_babyai.stream_video; print({'torch', 'lightning'} & set(sys.modules))"
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.stdout == "set()\n"


def test_the_data_module_is_found_by_its_name_and_serves_its_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JEPA_VL_CACHE", str(tmp_path))
    assert Table().get("data", "babyai_streams") is BabyAIStreams
    data = BabyAIStreams(**SIZES, render_workers=1)
    data.make()
    assert data.catalogue.labels == []
    assert set(data.catalogue.splits) == {"train", "val", "test"}
    assert not data.single_frame_baseline


def test_the_sheet_marks_the_first_frame_after_an_event(
    folder: Path, manifests: dict[str, list[Sample]]
) -> None:
    told = story("test", 0)
    mine = [s for s in manifests["test"] if s.media == media("test", 0)]
    sheet = np.asarray(stream_sheet(mine, folder / media("test", 0), rows=2, frames=12).convert("RGB"))
    assert sheet.shape[1] == 12 * 68
    frames = draw(told.views, told.agents, SMALL.tile)
    assert np.array_equal(sheet[15 : 15 + 64, 2 : 2 + 64], frames[0])
    first = round(told.happenings[0].second * FPS)
    one = stream_sheet(mine, folder / media("test", 0), start=first / FPS, rows=1, frames=1)
    assert one.getpixel((1, 40)) == (200, 40, 40)
