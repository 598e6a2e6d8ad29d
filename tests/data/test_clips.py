from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from jepa_vl.data.clips import Clip, ManifestSet, middle_frame
from jepa_vl.data.content import content_hashes
from jepa_vl.data.loader import eval_loader
from jepa_vl.data.records import Record
from jepa_vl.data.video import MediaError
from jepa_vl.errors import UserError
from jepa_vl.sample import Sample
from jepa_vl.vision.base import Preprocessing

TWO = Preprocessing(size=(8, 8), num_frames=2)


def record(path: Path, **fields: Any) -> Record:
    return Record(Sample(id=path.name, media=path.name, target="x", **fields), str(path), "m.jsonl, line 1")


def clip(path: Path, **fields: Any) -> Clip:
    return Clip.of(record(path, **fields), content_hashes([str(path)])[str(path)])


def sample_set(folder: Path, media: SimpleNamespace, *, broken: set[int], max_bad: int) -> ManifestSet:
    paths = [media.image(folder / f"{i}.png", i) for i in range(6)]
    for i in broken:
        paths[i].write_bytes(b"broken %d" % i)
    records = [record(path) for path in paths]
    return ManifestSet("train", records, [clip(path) for path in paths], TWO, max_bad=max_bad)


def test_equal_frames_under_other_names_are_one_clip(tmp_path: Path, media: SimpleNamespace) -> None:
    one, two = media.image(tmp_path / "a.png", 1), media.image(tmp_path / "b.png", 1)
    assert clip(one).digest == clip(two).digest


def test_another_stretch_of_the_same_file_is_another_clip(tmp_path: Path, media: SimpleNamespace) -> None:
    path = media.video(tmp_path / "v.mp4", [1] * 10)
    digests = {clip(path).digest, clip(path, end=0.5).digest, clip(path, start=0.5).digest}
    assert len(digests) == 3


def test_two_missing_files_are_two_clips(tmp_path: Path) -> None:
    assert clip(tmp_path / "a.png").digest != clip(tmp_path / "b.png").digest


def test_a_clip_that_cannot_be_read_names_sample_line_file_and_reason(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(MediaError) as caught:
        clip(tmp_path / "a.png").read(TWO)
    reason = "corrupt or of an unknown format"
    message = f"sample 'a.png' (m.jsonl, line 1): cannot read '{tmp_path / 'a.png'}': {reason}"
    assert str(caught.value) == message
    assert pickle.loads(pickle.dumps(caught.value)).reason == reason, "lost on the way from a worker"


def test_the_middle_frame_stands_for_all() -> None:
    video = torch.arange(5).view(5, 1, 1, 1).expand(5, 3, 2, 2)
    assert (middle_frame(video) == 2).all()
    assert middle_frame(video).shape == video.shape


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_bad_clip_is_replaced_by_the_next_good_one_and_counted_over_workers(
    tmp_path: Path, media: SimpleNamespace, tiny: SimpleNamespace, num_workers: int
) -> None:
    samples = sample_set(tmp_path, media, broken={1, 2, 5}, max_bad=3)
    loader = eval_loader(samples, batch_size=2, collate=tiny.collate, num_workers=num_workers)
    batches = list(loader)
    assert [i for batch in batches for i in batch.index.tolist()] == [0, 3, 3, 3, 4, 0]
    assert [s.id for s in batches[0].samples] == ["0.png", "3.png"]
    assert samples.bad.indices() == [1, 2, 5]


def test_one_bad_clip_too_many_ends_the_run(tmp_path: Path, media: SimpleNamespace) -> None:
    samples = sample_set(tmp_path, media, broken={1, 4}, max_bad=1)
    assert samples[1].index == 2
    assert samples[1].index == 2, "the same clip is counted twice"
    with pytest.raises(UserError, match=r"2 clips cannot be read; 'max_bad_media'.* allows 1"):
        samples[4]


def test_a_set_of_nothing_but_bad_clips_ends(tmp_path: Path, media: SimpleNamespace) -> None:
    samples = sample_set(tmp_path, media, broken=set(range(6)), max_bad=6)
    with pytest.raises(UserError, match="no clip of 'train' can be read"):
        samples[0]
