"""Whatever a user calls a video comes out as the frames that a file of it would give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from jepa_vl.data.video import read_clip
from jepa_vl.errors import UserError
from jepa_vl.use.source import Stretch, read_frames, several
from jepa_vl.vision.base import Preprocessing

WANTED = Preprocessing(size=(8, 8), num_frames=3)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 12, 20, 3), dtype=np.uint8)  # [T, H, W, C]


@pytest.fixture(scope="module")
def folder(frames: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{i}.png")
    return folder


FORMS: dict[str, Any] = {
    "channels last": lambda f: f,
    "channels first": lambda f: f.transpose(0, 3, 1, 2),
    "tensor": torch.from_numpy,
    "tensor, channels first": lambda f: torch.from_numpy(f).permute(0, 3, 1, 2),
    "floats": lambda f: f.astype(np.float32) / 255,
    "half floats": lambda f: torch.from_numpy(f / 255).half(),
    "images": lambda f: [Image.fromarray(frame) for frame in f],
    "list of arrays": list,
    "list of tensors": lambda f: [torch.from_numpy(frame).permute(2, 0, 1) for frame in f],
}


@pytest.mark.parametrize("form", FORMS)
def test_frames_in_memory_are_read_as_the_same_frames_in_a_folder(
    form: str, frames: np.ndarray, folder: Path
) -> None:
    given, single = several(FORMS[form](frames))
    assert single
    read = read_frames(given[0], WANTED)
    assert (read.int() - read_clip(str(folder), WANTED).int()).abs().max() <= ("half" in form)


def test_an_image_is_a_video_of_one_frame_however_it_comes(frames: np.ndarray, folder: Path) -> None:
    expected = read_clip(str(folder / "0.png"), WANTED)
    for image in (frames[0], Image.fromarray(frames[0]), torch.from_numpy(frames[0]), folder / "0.png"):
        assert torch.equal(read_frames(image, WANTED), expected)


def test_a_stretch_of_a_file_is_not_the_whole_file(video: Path) -> None:
    expected = read_clip(str(video), WANTED, start=1.0, end=2.0)
    assert torch.equal(read_frames(Stretch(video, 1.0, 2.0), WANTED), expected)
    assert not torch.equal(read_frames(video, WANTED), expected)


@pytest.mark.parametrize(
    ("videos", "count", "single"),
    [
        ("a.mp4", 1, True),
        (Path("a.mp4"), 1, True),
        (Stretch("a.mp4", 0, 1), 1, True),
        (["a.mp4"], 1, False),
        (("a.mp4", "b.mp4"), 2, False),
        (np.zeros((5, 4, 4, 3), np.uint8), 1, True),
        (np.zeros((2, 5, 4, 4, 3), np.uint8), 2, False),
        ([np.zeros((5, 4, 4, 3), np.uint8)] * 3, 3, False),
        ([[Image.new("RGB", (4, 4))] * 2] * 3, 3, False),
    ],
)
def test_one_video_is_told_from_several(videos: Any, count: int, single: bool) -> None:
    given, alone = several(videos)
    assert (len(given), alone) == (count, single)


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((4, 5, 5, 3), np.int64), "int64"),
        (np.full((4, 5, 5, 3), 7.0), "float64 from 7 to 7"),
        (np.full((4, 5, 5, 3), -0.5, np.float32), "float32 from -0.5"),
        (np.full((4, 5, 5, 3), np.nan, np.float32), "nan"),
        (np.zeros((4, 5, 5, 1), np.uint8), "[4, 5, 5, 1] has no three channels"),
        (np.zeros((4, 3, 5, 3), np.uint8), "could be"),
        (np.zeros((5, 5), np.uint8), "[5, 5]"),
        (np.zeros((0, 5, 5, 3), np.uint8), "[0, 5, 5, 3]"),
    ],
)
def test_pixels_that_could_be_misread_are_refused(array: np.ndarray, found: str) -> None:
    with pytest.raises(UserError) as error:
        read_frames(array, WANTED)
    assert found in str(error.value)
    assert "expected RGB" in str(error.value)


@pytest.mark.parametrize("nothing", [[], None, 3])
def test_what_is_no_video_is_refused(nothing: Any) -> None:
    with pytest.raises(UserError, match=r"empty|cannot be a"):
        several(nothing)
