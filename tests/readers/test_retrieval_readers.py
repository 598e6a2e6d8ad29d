"""Readers of retrieval benchmarks, on small files in the official formats."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from jepa_vl.errors import ManifestError, RecipeError
from jepa_vl.readers.activitynet_captions import ActivityNetCaptions
from jepa_vl.readers.base import Reader
from jepa_vl.readers.didemo import DiDeMo
from jepa_vl.readers.dream1k import Dream1K
from jepa_vl.readers.msrvtt_1ka import MSRVTT1kA
from jepa_vl.readers.msvd import MSVD
from jepa_vl.readers.pvd_bench import PVDBench
from jepa_vl.readers.vdc1k import VDC1k
from jepa_vl.readers.youcook2 import YouCook2
from jepa_vl.sample import WINDOW, Sample


def text_file(path: Path, *lines: str) -> str:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def json_file(path: Path, value: Any) -> str:
    path.write_text(json.dumps(value), encoding="utf-8")
    return str(path)


def error_of(reader: Reader) -> str:
    with pytest.raises(ManifestError) as caught:
        list(reader.samples())
    return str(caught.value)


def is_a_caption(sample: Sample) -> bool:
    """Whether the retrieval task takes the sample."""
    return bool(sample.target) and not sample.query and sample.kind is None and sample.candidates is None


MSRVTT = (
    "key,vid_key,video_id,sentence",
    "ret0,msr9770,video9770,a person is connecting something to system",
    'ret1,msr9771,video9771,"a little girl does gymnastics, and smiles"',
)


def test_msrvtt_has_one_caption_a_video_and_commas_stay_in_it(tmp_path: Path) -> None:
    first, second = MSRVTT1kA(annotations=text_file(tmp_path / "t.csv", *MSRVTT)).samples()
    assert (first.id, first.media, first.split) == ("msrvtt_1ka/ret0", "video9770.mp4", "test")
    assert second.target == "a little girl does gymnastics, and smiles"
    assert is_a_caption(first)


def test_the_training_list_of_msrvtt_is_refused(tmp_path: Path) -> None:
    message = error_of(
        MSRVTT1kA(annotations=text_file(tmp_path / "MSRVTT_train.9k.csv", "video_id", "video0"))
    )
    assert "column 'key' is missing" in message
    assert "MSRVTT_JSFUSION_test.csv" in message


def activitynet(tmp_path: Path, **changed: Any) -> str:
    video = {
        "duration": 82.73,
        "timestamps": [[0.83, 19.86], [60.81, 17.37], [56.26, 99.0], [5.0, 5.0]],
        "sentences": ["A young woman is seen.", " She lifts.", " Sie springt – weit.", "Nothing."],
    }
    return json_file(tmp_path / "val_1.json", {"v_uqiMw7tQ1Cc": video | changed})


def test_the_sentences_of_a_video_are_one_paragraph_in_their_order(tmp_path: Path) -> None:
    (sample,) = ActivityNetCaptions(annotations=activitynet(tmp_path)).samples()
    assert sample.target == "A young woman is seen. She lifts. Sie springt – weit. Nothing."
    assert (sample.media, sample.split, sample.start) == ("v_uqiMw7tQ1Cc.mp4", "val_1", None)
    assert is_a_caption(sample)


def test_moments_are_put_in_order_cut_at_the_end_and_bring_windows(tmp_path: Path) -> None:
    reader = ActivityNetCaptions(annotations=activitynet(tmp_path), mode="moments", windows=(40.0,))
    samples = list(reader.samples())
    moments = [s for s in samples if s.kind == "moment"]
    assert [(s.start, s.end) for s in moments] == [(0.83, 19.86), (17.37, 60.81), (56.26, 82.73)]
    windows = [s for s in samples if s.kind == WINDOW]
    assert {s.media for s in windows} == {s.media for s in moments}
    assert [(s.start, s.end) for s in windows] == [(0, 40), (20, 60), (40, 80), (42.73, 82.73)]
    assert len({s.id for s in samples}) == len(samples)


def test_the_expected_number_is_that_of_the_fold_and_of_paragraphs_only() -> None:
    assert ActivityNetCaptions(annotations="a").expected() == {"val_1": 4917}
    assert ActivityNetCaptions(annotations="a", fold="val_2").expected() == {"val_2": 4885}
    assert ActivityNetCaptions(annotations="a", mode="moments").expected() == {}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"timestamps": [[0.0, 1.0]]}, "found 1 times for 4 sentences"),
        ({"timestamps": [[0.0, "1"]] * 4}, "entry 1: found [0.0, '1']"),
        ({"duration": 0}, "expected seconds above 0"),
        ({"sentences": None}, "expected a list of texts"),
    ],
)
def test_a_broken_video_of_activitynet_is_named(tmp_path: Path, changed: Any, said: str) -> None:
    message = error_of(ActivityNetCaptions(annotations=activitynet(tmp_path, **changed), mode="moments"))
    assert said in message
    assert "v_uqiMw7tQ1Cc" in message
    assert "val_1.json" in message


def test_the_ids_of_activitynet_alone_are_refused(tmp_path: Path) -> None:
    message = error_of(ActivityNetCaptions(annotations=json_file(tmp_path / "val_ids.json", ["v_a", "v_b"])))
    assert "found a list" in message


def test_windows_without_length_are_refused(tmp_path: Path) -> None:
    reader = ActivityNetCaptions(annotations=activitynet(tmp_path), mode="moments", windows=(0.0,))
    with pytest.raises(RecipeError, match="window lengths"):
        list(reader.samples())


def didemo(video: str, description: str) -> dict[str, Any]:
    return {
        "annotation_id": 20,
        "description": description,
        "dl_link": f"https://www.flickr.com/video_download.gne?id={video}",
        "num_segments": 6,
        "times": [[0, 0], [0, 0], [1, 1], [0, 0]],
        "video": video,
    }


def test_the_descriptions_of_a_didemo_video_are_joined_though_others_stand_between(tmp_path: Path) -> None:
    entries = [
        didemo("12@N00_1.avi", "a dog"),
        didemo("13@N00_2.mov", "a cat"),
        didemo("12@N00_1.avi", "it sits"),
    ]
    first, second = DiDeMo(annotations=json_file(tmp_path / "test_data.json", entries)).samples()
    assert (first.media, first.target) == ("12@N00_1.avi", "a dog it sits")
    assert (second.media, second.target) == ("13@N00_2.mov", "a cat")
    assert is_a_caption(first)


def test_captions_of_another_set_are_not_taken_for_didemo(tmp_path: Path) -> None:
    path = json_file(tmp_path / "captions.json", [{"video": "a.mp4", "description": "a dog"}])
    assert "'times' is missing" in error_of(DiDeMo(annotations=path))


MSVD_TEXT = (
    "# English descriptions of the Microsoft Research Video Description Corpus",
    "",
    "-4wsuPCjDBc_5_15 a squirrel is eating a peanut in it's shell",
    "-4wsuPCjDBc_5_15 A chipmunk is eating.",
    "mv89psg6zh4_33_46 a bird takes a bath in a sink",
    "zzz_1_2 not in the test split",
)


def test_the_captions_of_an_msvd_video_share_it_and_other_splits_stay_out(tmp_path: Path) -> None:
    samples = list(
        MSVD(
            annotations=text_file(tmp_path / "all.txt", *MSVD_TEXT),
            test_list=text_file(tmp_path / "test_list.txt", "mv89psg6zh4_33_46", "-4wsuPCjDBc_5_15"),
        ).samples()
    )
    assert [s.media for s in samples] == ["mv89psg6zh4_33_46.avi", *["-4wsuPCjDBc_5_15.avi"] * 2]
    assert samples[1].target == "a squirrel is eating a peanut in it's shell"
    assert len({s.id for s in samples}) == 3
    assert all(is_a_caption(s) for s in samples)


def test_the_table_of_all_languages_is_not_msvds_text_file(tmp_path: Path) -> None:
    table = text_file(
        tmp_path / "corpus.csv", "VideoID,Start,End,WorkerID,Source,AnnotationTime,Language,Description"
    )
    listed = text_file(tmp_path / "test_list.txt", "a_1_2")
    assert "corpus.csv, line 1: found 'VideoID,Start" in error_of(MSVD(annotations=table, test_list=listed))


@pytest.mark.parametrize(
    ("name", "said"), [("vid1301", "found 'vid1301'"), ("a_1_2", "'a_1_2' has no description")]
)
def test_a_video_of_the_list_must_be_described(tmp_path: Path, name: str, said: str) -> None:
    reader = MSVD(
        annotations=text_file(tmp_path / "all.txt", *MSVD_TEXT),
        test_list=text_file(tmp_path / "test_list.txt", "mv89psg6zh4_33_46", name),
    )
    assert f"test_list.txt, line 2: {said}" in error_of(reader)


def youcook2(tmp_path: Path, **changed: Any) -> str:
    segment = {"segment": [90, 102], "id": 0, "sentence": "spread margarine on two slices of white bread"}
    video = {
        "duration": 241.62,
        "subset": "validation",
        "recipe_type": "113",
        "annotations": [segment | changed, {"segment": [114, 127], "id": 1, "sentence": "place the cheese"}],
        "video_url": "https://www.youtube.com/watch?v=GLd3aX16zBg",
    }
    database = {"GLd3aX16zBg": video, "train_video": video | {"subset": "training"}}
    return json_file(tmp_path / "youcookii_annotations_trainval.json", {"database": database})


def test_a_youcook2_sample_is_a_segment_of_a_validation_video(tmp_path: Path) -> None:
    first, second = YouCook2(annotations=youcook2(tmp_path)).samples()
    assert (first.media, first.start, first.end) == ("113/GLd3aX16zBg.mp4", 90, 102)
    assert second.target == "place the cheese"
    assert first.episode == second.episode
    assert is_a_caption(first)


@pytest.mark.parametrize(
    ("changed", "said"), [({"segment": [9, 9]}, "found [9, 9]"), ({"sentence": ""}, "expected a text")]
)
def test_a_broken_segment_is_named(tmp_path: Path, changed: Any, said: str) -> None:
    message = error_of(YouCook2(annotations=youcook2(tmp_path, **changed)))
    assert said in message
    assert "'GLd3aX16zBg'" in message


def test_youcook2_test_segments_have_no_database_of_sentences(tmp_path: Path) -> None:
    assert "'database' is missing" in error_of(
        YouCook2(annotations=json_file(tmp_path / "a.json", {"a": {}}))
    )


SIDECAR = {"human_caption": "A man paints a wall.", "model_caption": "The video shows …", "category": "hands"}


def shard(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_pvd_texts_are_the_same_from_shards_and_from_what_they_unpack_to(tmp_path: Path) -> None:
    packed, unpacked = tmp_path / "packed", tmp_path / "unpacked"
    packed.mkdir()
    unpacked.mkdir()
    record = json.dumps(SIDECAR).encode()
    shard(packed / "000001.tar", {"./v2.mp4": b"video", "./v2.json": record})
    shard(packed / "000000.tar", {"v1.mp4": b"video", "v1.json": record})
    for name in ("v1", "v2"):
        (unpacked / f"{name}.json").write_bytes(record)
    samples = list(PVDBench(annotations=str(packed)).samples())
    assert [(s.media, s.target) for s in samples] == [
        ("v1.mp4", "A man paints a wall."),
        ("v2.mp4", "A man paints a wall."),
    ]
    assert samples == list(PVDBench(annotations=str(unpacked)).samples())


def test_pvd_videos_without_a_human_caption_are_not_in_the_benchmark(tmp_path: Path) -> None:
    (tmp_path / "v1.json").write_text(json.dumps({**SIDECAR, "human_caption": None}))
    (tmp_path / "v2.json").write_text(json.dumps(SIDECAR))
    assert [s.media for s in PVDBench(annotations=str(tmp_path)).samples()] == ["v2.mp4"]


def test_a_cut_shard_and_another_data_set_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no tar")
    assert "a.tar is not a whole tar file" in error_of(PVDBench(annotations=str(tmp_path)))
    shard(tmp_path / "a.tar", {"v1.json": b'{"caption": "a man"}'})
    assert "a.tar, v1.json: 'human_caption' is missing; found caption" in error_of(
        PVDBench(annotations=str(tmp_path))
    )
    shard(tmp_path / "a.tar", {"v1.json": b"{"})
    assert "not JSON" in error_of(PVDBench(annotations=str(tmp_path)))
    shard(tmp_path / "a.tar", {"v1.mp4": b"video"})
    assert "holds no .tar and no .json file" in error_of(PVDBench(annotations=str(tmp_path)))
    assert "is not a folder" in error_of(PVDBench(annotations=str(tmp_path / "a.tar")))


def test_dream1k_keeps_the_name_of_the_video_and_its_whole_description(tmp_path: Path) -> None:
    long = "Eine Figur tritt aus dem Rauch. " * 400
    entry = {"idx": 1, "video_file": "video/1.mp4", "description": long, "events": ["A character emerges."]}
    (sample,) = Dream1K(annotations=json_file(tmp_path / "metadata.json", [entry])).samples()
    assert (sample.id, sample.media) == ("dream1k/1", "1.mp4")
    assert sample.target == long.strip()
    assert is_a_caption(sample)


def test_the_answers_of_tarsier_are_not_dream1ks_metadata(tmp_path: Path) -> None:
    path = json_file(tmp_path / "a.json", [{"idx": 1, "text": {"prompt": "a", "response": "b"}}])
    assert "entry 1: 'video_file' is missing; found idx, text" in error_of(Dream1K(annotations=path))


VDC = {
    "video_id": "abc-0",
    "video_name": "abc-0.mp4",
    "short_caption": "short",
    "detailed_caption": "The video begins with 一只猫 …",
}


def test_vdc_takes_the_detailed_caption(tmp_path: Path) -> None:
    path = text_file(tmp_path / "VDC_1k.jsonl", json.dumps(VDC), "")
    (sample,) = VDC1k(annotations=path).samples()
    assert (sample.media, sample.target) == ("abc-0.mp4", "The video begins with 一只猫 …")
    assert is_a_caption(sample)


def test_a_line_of_vdc_without_the_caption_is_named(tmp_path: Path) -> None:
    bad = {k: v for k, v in VDC.items() if k != "detailed_caption"}
    path = text_file(tmp_path / "VDC_1k.jsonl", json.dumps(VDC), json.dumps(bad))
    assert "VDC_1k.jsonl, line 2: 'detailed_caption' is missing" in error_of(VDC1k(annotations=path))
