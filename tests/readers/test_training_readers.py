"""Readers of streams, world modelling and training sources, on small files in the format they read."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from jepa_vl.data.records import read_manifest
from jepa_vl.errors import ManifestError, RecipeError, UserError
from jepa_vl.readers.action100m import Action100M
from jepa_vl.readers.conversion import convert
from jepa_vl.readers.egoexo4d_atomic import EgoExo4DAtomic
from jepa_vl.readers.plm_captions import PLMCaptions
from jepa_vl.readers.webdataset import WebDataset
from jepa_vl.readers.worldprediction_wm import WorldPredictionWM
from jepa_vl.tasks.streaming_sets import annotated_streams

Write = Callable[[str, Any], str]


def segment(number: int, **more: Any) -> dict[str, Any]:
    known = {
        "segment_uid": f"segment|COIN|v{number}_000",
        "video": f"13/v{number}.mp4",
        "action_label": "cut",
    }
    return {**known, "segment_start_time": float(number), "segment_end_time": number + 2.5, **more}


def question(**more: Any) -> dict[str, Any]:
    known = {"states": segment(0), "candidates": [segment(n) for n in range(1, 5)]}
    return {**known, "ground_truth": "segment|COIN|v3_000", **more}


def world(write: Write, folder: Path, **more: Any) -> WorldPredictionWM:
    items = {"COIN": {"segment|COIN|v0_000": question(**more)}}
    return WorldPredictionWM(annotations=write("WorldPrediction-WM.json", items), media=str(folder))


def test_worldprediction_gives_four_choices_and_then_the_question(write: Write, tmp_path: Path) -> None:
    *choices, asked = world(write, tmp_path).samples()
    assert asked.choices == tuple(c.id for c in choices)
    assert asked.answer == choices[2].id
    assert (asked.media, asked.target, asked.kind) == ("states/COIN/segment_COIN_v0_000/images", "", None)
    assert {c.kind for c in choices} == {"choice"}
    assert [(c.media, c.start, c.end) for c in choices[:2]] == [
        ("COIN/13/v1.mp4", 1.0, 3.5),
        ("COIN/13/v2.mp4", 2.0, 4.5),
    ]


def gray_video(path: Path, frames: int, rate: int = 4) -> None:
    """A video whose frame n has the gray value 10 n."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width = stream.height = 32
        stream.gop_size = 5
        for n in range(frames):
            picture = Image.new("RGB", (32, 32), (10 * n,) * 3)
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())


def test_worldprediction_states_are_the_frames_at_the_ends_of_the_segment(
    write: Write, tmp_path: Path
) -> None:
    for number in range(5):
        gray_video(tmp_path / f"COIN/13/v{number}.mp4", frames=20)
    states = segment(0, segment_start_time=0.75, segment_end_time=4.0)  # frames 3 and 16
    output = tmp_path / "wm.jsonl"
    done = convert(world(write, tmp_path, states=states), output, media=tmp_path)
    assert (done.read["test"], done.written["test"], done.missing) == (5, 5, [])
    images = tmp_path / read_manifest(output)[-1].media
    shown = [np.asarray(Image.open(images / name)).mean() for name in ("0.jpg", "1.jpg")]
    assert shown == pytest.approx([30, 160], abs=4)


@pytest.mark.parametrize("content", [None, b"no video"])
def test_worldprediction_questions_without_their_video_are_missing(
    write: Write, tmp_path: Path, content: bytes | None
) -> None:
    for number in range(1, 5):
        gray_video(tmp_path / f"COIN/13/v{number}.mp4", frames=2)
    if content is not None:
        (tmp_path / "COIN/13/v0.mp4").write_bytes(content)
    done = convert(world(write, tmp_path), tmp_path / "wm.jsonl", media=tmp_path, max_missing=1)
    assert done.written["test"] == 4
    assert done.missing == ["states/COIN/segment_COIN_v0_000/images"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ground_truth": "segment|COIN|v9_000"}, "'ground_truth': .* is none of the 4"),
        ({"candidates": []}, "'candidates': found 0 candidates, expected 4"),
        ({"states": "states/7"}, "'states': found a text, expected an object"),
        ({"states": segment(0, segment_end_time=0.0)}, "'states': found a segment from 0 to 0 s"),
    ],
)
def test_worldprediction_refuses_other_layouts(
    write: Write, tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(ManifestError, match=rf"'COIN', 'segment\|COIN\|v0_000', {says}"):
        list(world(write, tmp_path, **change).samples())


def take(uid: str, scenario: str, **videos: Any) -> dict[str, Any]:
    return {
        "take_uid": uid,
        "take_name": f"name_{uid}",
        "root_dir": f"takes/name_{uid}",
        "parent_task_name": scenario,
        "duration_sec": 10.0,
        "frame_aligned_videos": videos,
    }


def said(text: str, timestamp: float, **more: Any) -> dict[str, Any]:
    known = {"subject": "C", "ego_visible": True, "best_exo": None, "unsure": False}
    return {"text": text, "timestamp": timestamp, **known, **more}


ARIA = {
    "cam01": {"0": {"relative_path": "frame_aligned_videos/cam01.mp4"}},
    "aria02": {"rgb": {"relative_path": "frame_aligned_videos/aria02_214-1.mp4"}},
}


def atomic(write: Write, descriptions: dict[str, list[dict[str, Any]]], **more: Any) -> EgoExo4DAtomic:
    annotations = {
        uid: [{"annotation_uid": "a", "descriptions": some[:2]}, {"descriptions": some[2:]}]
        for uid, some in descriptions.items()
    }
    takes = [take("t1", "Cooking", **ARIA), take("t2", "Soccer", **ARIA), take("t3", "Health", cam01={})]
    return EgoExo4DAtomic(
        annotations=write("atomic.json", {"ds": "230921", "take_cam_id_map": {}, "annotations": annotations}),
        takes=write("takes.json", takes),
        **more,
    )


def test_atomic_descriptions_gather_the_seconds_of_a_text_over_annotators(write: Write) -> None:
    texts = [said("C stirs.", 9.0), said("C cuts.", 4.5), said("C stirs.", 2.25)]
    every = list(atomic(write, {"t1": texts, "t2": texts}).samples())  # soccer is no procedure
    samples = [s for s in every if s.kind == "stream"]
    assert [(s.target, s.timestamps) for s in samples] == [("C stirs.", (2.25, 9.0)), ("C cuts.", (4.5,))]
    assert {s.media for s in samples} == {"takes/name_t1/frame_aligned_videos/aria02_214-1.mp4"}
    assert {s.episode for s in every} == {"t1"}
    every = atomic(write, {"t1": texts, "t2": texts}, scenarios=("Soccer",)).samples()
    assert {s.episode for s in every} == {"t2"}


def test_atomic_descriptions_come_with_the_windows_of_their_takes(write: Write) -> None:
    texts = [said("C stirs.", 9.75), said("C cuts.", 4.5), said("C waits.", 0.25)]
    samples = list(atomic(write, {"t1": texts}, window=2.0, stride=0.5).samples())
    clips = {s.target: (s.start, s.end) for s in samples if s.kind == "stream"}
    assert clips == {"C stirs.": (8.75, 10.0), "C cuts.": (3.5, 5.5), "C waits.": (0.0, 2.0)}
    windows = [(s.start, s.end) for s in samples if s.kind == "window"]
    assert windows == [(0.5 * i, 0.5 * i + 2) for i in range(17)]
    (stream,) = annotated_streams(samples, "val")
    assert (stream.seconds, stream.texts) == ([0.25, 4.5, 9.75], ["C waits.", "C cuts.", "C stirs."])


def test_atomic_descriptions_that_are_unsure_or_out_of_sight_are_left_out(write: Write) -> None:
    texts = [said("a", 1.0, unsure=True), said("b", 2.0, ego_visible=False), said("c", 3.0, unsure=None)]
    assert [s.target for s in atomic(write, {"t1": texts}).samples() if s.kind == "stream"] == ["c"]


def test_atomic_descriptions_refuse_unknown_takes_and_takes_without_glasses(write: Write) -> None:
    with pytest.raises(ManifestError, match="take 't9' is not in"):
        list(atomic(write, {"t9": []}).samples())
    with pytest.raises(ManifestError, match=r"takes.json, entry 3: no colour stream"):
        list(atomic(write, {"t3": [said("a", 1.0)]}).samples())


def node(number: str, start: float, end: float, **more: Any) -> dict[str, Any]:
    return {"node_id": number, "parent_id": None, "level": 0, "start": start, "end": end, **more}


GPT = {
    "summary": {"brief": "A cook cracks an egg.", "detailed": "A cook cracks an egg into a bowl, then …"},
    "action": {"brief": "crack egg", "detailed": "Crack the egg on the rim.", "actor": "a cook"},
}
ROW = {
    "video_uid": "abc-1",
    "metadata": {"title": "eggs"},
    "nodes": [
        node("0", 0.0, 60.5, gpt=GPT, plm_caption="eggs", plm_action=None),
        node("1", 1.0, 1.5, gpt=None, plm_caption="a hand", plm_action="hold"),
    ],
}


def test_action100m_gives_the_four_texts_of_annotated_segments(write: Write) -> None:
    samples = list(Action100M(annotations=write("a.jsonl", [ROW])).samples())
    assert {s.kind: s.target for s in samples} == {
        "action/brief": "crack egg",
        "action/detailed": "Crack the egg on the rim.",
        "caption/brief": "A cook cracks an egg.",
        "caption/detailed": "A cook cracks an egg into a bowl, then …",
    }
    assert {(s.media, s.start, s.end, s.episode) for s in samples} == {("abc-1.mp4", 0.0, 60.5, "abc-1")}


def test_action100m_gives_other_texts_when_asked_and_leaves_out_short_segments(write: Write) -> None:
    path = write("a.jsonl", [ROW])
    reader = Action100M(annotations=path, texts=("plm/caption", "plm/action"))
    assert [(s.kind, s.target) for s in reader.samples()] == [
        ("plm/caption", "eggs"),
        ("plm/caption", "a hand"),
        ("plm/action", "hold"),
    ]
    reader = Action100M(annotations=path, texts=("plm/caption",), shortest=1.0)
    assert [s.target for s in reader.samples()] == ["eggs"]
    with pytest.raises(RecipeError, match="found 'plm/captoin'; did you mean 'plm/caption'"):
        Action100M(annotations=path, texts=("plm/captoin",))


def test_action100m_reads_parquet(write: Write, tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.Table.from_pylist([ROW]), tmp_path / "x-0.parquet")
    want = list(Action100M(annotations=write("a.jsonl", [ROW])).samples())
    assert list(Action100M(annotations=str(tmp_path / "x-*.parquet")).samples()) == want
    (tmp_path / "x-1.parquet").write_bytes(b"none")
    with pytest.raises(ManifestError, match=r"x-1.parquet: not a Parquet file"):
        list(Action100M(annotations=str(tmp_path / "x-*.parquet")).samples())


def test_parquet_without_pyarrow_says_what_to_install(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(UserError, match="need pyarrow"):
        list(Action100M(annotations=write("a.parquet", "")).samples())


def test_a_pattern_reads_every_file_by_name_and_says_when_none_matches(write: Write, tmp_path: Path) -> None:
    for name in ("b", "a"):
        write(f"{name}.jsonl", [{**ROW, "video_uid": name}])
    samples = Action100M(annotations=str(tmp_path / "*.jsonl"), texts=("action/brief",)).samples()
    assert [s.episode for s in samples] == ["a", "b"]
    with pytest.raises(ManifestError, match="no file matches"):
        list(Action100M(annotations=str(tmp_path / "*.parquet")).samples())


def test_action100m_refuses_rows_of_another_set(write: Write) -> None:
    with pytest.raises(ManifestError, match=r"a.jsonl, line 1: 'video_uid' is missing; found video, caption"):
        list(Action100M(annotations=write("a.jsonl", [{"video": "a", "caption": "b"}])).samples())


TURNS = [
    {"from": "human", "value": "<image>\nWhat is it?"},
    {"from": "assistant", "value": "A red ball."},
    {"from": "human", "value": "Where?"},
    {"from": "assistant", "value": "On the table."},
]


def test_plm_turns_become_samples_with_or_without_the_question(write: Write) -> None:
    rows = [{"image": "a.jpg", "conversations": TURNS}, {"video": "b.mp4", "caption": "A dog runs."}]
    path = write("plm.jsonl", rows)
    plain = list(PLMCaptions(annotations=path).samples())
    assert [(s.media, s.query, s.target) for s in plain] == [
        ("a.jpg", "", "A red ball."),
        ("a.jpg", "", "On the table."),
        ("b.mp4", "", "A dog runs."),
    ]
    asked = list(PLMCaptions(annotations=path, instructions=True).samples())
    assert [s.query for s in asked] == ["What is it?", "Where?", ""]


@pytest.mark.parametrize("key", ["caption", "llama3v_80b_cap"])
def test_plm_answers_to_questions_are_no_captions_where_there_is_one(write: Write, key: str) -> None:
    path = write("plm.jsonl", [{"image": "a.jpg", key: "A ball on a table.", "conversations": TURNS}])
    assert [s.target for s in PLMCaptions(annotations=path).samples()] == ["A ball on a table."]
    asked = PLMCaptions(annotations=path, instructions=True).samples()
    assert [(s.query, s.target) for s in asked] == [
        ("What is it?", "A red ball."),
        ("Where?", "On the table."),
    ]


def test_plm_captions_of_a_part_of_a_video_keep_its_seconds(write: Write) -> None:
    path = write("plm.jsonl", [{"video": "b.mp4", "caption": "c", "start_time": 0.0, "end_time": 4.5}])
    (sample,) = PLMCaptions(annotations=path).samples()
    assert (sample.start, sample.end) == (0.0, 4.5)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"text": "x"}, "'video' is missing; found text"),
        (
            {"image": "a.jpg", "conversations": TURNS[:1]},
            "'conversations': found human, expected human, assist",
        ),
        ({"video": "a.mp4", "masklet_id": 2, "caption": "c"}, "'masklet_id': texts about regions"),
        (
            {"image": "a.jpg", "conversations": [{"from": "gpt", "value": "x"}]},
            "'from': 'gpt' is none of the 2",
        ),
    ],
)
def test_plm_refuses_what_it_cannot_read(write: Write, row: dict[str, Any], says: str) -> None:
    with pytest.raises(ManifestError, match=says):
        list(PLMCaptions(annotations=write("plm.jsonl", [row])).samples())


def shard(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def image() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, format="JPEG")
    return out.getvalue()


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    folder = tmp_path / "shards"
    folder.mkdir()
    described = json.dumps({"caption": "from json", "url": "https://example.org"}).encode()
    shard(
        folder / "00000.tar",
        {
            "000.jpg": image(),
            "000.txt": "a caf\u00e9\n".encode(),
            "000.json": described,
            "001.json": described,
            "001.jpg": image(),
            "002.jpg": image(),
            "003.txt": b"no image",
        },
    )
    shard(folder / "00001.tar", {"../sub/000.png": image(), "../sub/000.txt": b"escape"})
    return folder


def test_webdataset_unpacks_images_with_texts_into_a_manifest(shards: Path, tmp_path: Path) -> None:
    reader = WebDataset(shards=str(shards / "*.tar"), media=str(tmp_path / "images"))
    convert(reader, tmp_path / "m.jsonl", media=tmp_path / "images")
    samples = read_manifest(tmp_path / "m.jsonl")
    assert [(s.media, s.target) for s in samples] == [
        ("images/00000/000.jpg", "a café"),
        ("images/00000/001.jpg", "from json"),
        ("images/00001/sub_000.png", "escape"),  # and nothing outside the folder
    ]
    assert not (tmp_path / "sub").exists()
    with Image.open(tmp_path / samples[0].media) as unpacked:
        assert unpacked.size == (4, 4)


def test_webdataset_goes_on_with_the_shard_it_stopped_in(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = WebDataset(shards=str(shards / "*.tar"), media=str(tmp_path / "images"))
    whole = list(reader.samples())
    (tmp_path / "images" / "00001" / "texts.jsonl").unlink()  # as if stopped in the second
    unpacked = []
    opened = tarfile.open
    monkeypatch.setattr(tarfile, "open", lambda path: unpacked.append(path) or opened(path))
    assert list(reader.samples()) == whole
    assert unpacked == [shards / "00001.tar"]


def test_webdataset_takes_a_tar_of_the_same_name_for_another_one(shards: Path, tmp_path: Path) -> None:
    """img2dataset calls the first tar of every data set 00000.tar."""
    media = str(tmp_path / "images")
    list(WebDataset(shards=str(shards / "*.tar"), media=media).samples())
    shard(shards / "00000.tar", {"000.jpg": image(), "000.txt": b"of another data set"})
    with pytest.raises(ManifestError, match=r"00000' holds the images of another 00000.tar than .*--media"):
        list(WebDataset(shards=str(shards / "*.tar"), media=media).samples())


def test_webdataset_reads_the_texts_anew_for_another_key(shards: Path, tmp_path: Path) -> None:
    def texts(caption: str) -> list[str]:
        reader = WebDataset(shards=str(shards / "00000.tar"), media=str(tmp_path / "images"), caption=caption)
        return [s.target for s in reader.samples()]

    assert texts("caption") == ["a café", "from json"]
    assert texts("url") == ["a café", "https://example.org"]


def test_webdataset_names_a_broken_shard_and_one_of_another_kind(shards: Path, tmp_path: Path) -> None:
    content = (shards / "00000.tar").read_bytes()
    (shards / "00000.tar").write_bytes(content[:700])
    reader = WebDataset(shards=str(shards / "*.tar"), media=str(tmp_path / "images"))
    with pytest.raises(ManifestError, match=r"00000.tar: cannot be unpacked"):
        list(reader.samples())
    shard(shards / "00000.tar", {"a.mp4": b"x", "a.txt": b"y"})
    with pytest.raises(ManifestError, match=r"no image has a text \(0 images, 1 texts\)"):
        list(reader.samples())
