from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from jepa_vl.data import video
from jepa_vl.data.video import MediaError, read_clip, uniform_indices
from jepa_vl.streaming.live.source import open_source
from jepa_vl.vision.base import Preprocessing

FOUR = Preprocessing(size=(8, 8), num_frames=4)


def greys(clip: torch.Tensor) -> list[int]:
    return clip.float().mean(dim=(1, 2, 3)).round().int().tolist()


def reference(path: Path, times: list[float]) -> list[int]:
    """Decode everything, then take the last frame that began at or before each time."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [
            (float((f.pts - (stream.start_time or 0)) * f.time_base), f) for f in container.decode(stream)
        ]
    return [
        round(float([f for begin, f in frames if begin <= t + 1e-6][-1].to_ndarray(format="rgb24").mean()))
        for t in times
    ]


@pytest.mark.parametrize(("available", "wanted"), [(1, 4), (3, 4), (4, 4), (5, 2), (100, 8), (7, 3)])
def test_indices_are_the_centres_of_equal_intervals(available: int, wanted: int) -> None:
    # an independent statement: frame i covers [i, i + 1); which one covers the centre of interval k?
    centres = [(k + 0.5) * available / wanted for k in range(wanted)]
    slow = [next(i for i in range(available) if i <= c < i + 1) for c in centres]
    assert uniform_indices(available, wanted) == slow


@pytest.mark.parametrize("gop", [4, 12, 250])
@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_seeking_gives_the_frames_of_a_whole_decode(
    tmp_path: Path, media: SimpleNamespace, gop: int, b_frames: int, suffix: str
) -> None:
    path = media.video(tmp_path / f"v.{suffix}", [5 * i for i in range(50)], gop=gop, b_frames=b_frames)
    for start, end in [(None, None), (0.31, 1.2), (2.2, None), (3.55, 3.65), (4.05, 99.0)]:
        first, last = start or 0.0, min(end or 5.0, 5.0)
        times = [first + (i + 0.5) * (last - first) / 4 for i in range(4)]
        clip = read_clip(str(path), FOUR, start=start, end=end)
        assert np.allclose(greys(clip), reference(path, times), atol=1), (start, end)


def test_no_more_is_decoded_than_the_stretch_takes(
    tmp_path: Path, media: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = media.video(tmp_path / "v.mp4", [i % 250 for i in range(200)], gop=10)
    decoded = 0

    class Counting:
        def __init__(self, container: Any) -> None:
            self.container = container

        def __getattr__(self, name: str) -> Any:
            return getattr(self.container, name)

        def __enter__(self) -> Counting:
            return self

        def __exit__(self, *args: object) -> None:
            self.container.close()

        def decode(self, stream: Any) -> Iterator[Any]:
            nonlocal decoded
            for frame in self.container.decode(stream):
                decoded += 1
                yield frame

    opened = av.open
    monkeypatch.setattr(video.av, "open", lambda path: Counting(opened(path)))
    read_clip(str(path), FOUR, start=15.0, end=16.0)
    assert decoded <= 22  # ten frames of the stretch, and the way there from a keyframe
    decoded = 0
    read_clip(str(path), FOUR)
    assert decoded <= 4 * 12  # four groups of ten, not 200


def turned(path: Path, a: int, b: int, c: int, d: int) -> str:
    """Note in an MP4's header that its frames are shown turned: (x, y) → (a x + c y, b x + d y)."""
    parts = (a, b, 0, c, d, 0, 0, 0, 0x4000)
    matrix = b"".join(struct.pack(">i", part << 16) for part in parts)
    content = path.read_bytes()
    upright = b"".join(struct.pack(">i", part << 16) for part in (1, 0, 0, 0, 1, 0, 0, 0, 0x4000))
    at = content.index(upright, content.index(b"tkhd"))
    out = path.with_name(f"{a}{b}{c}{d}.mp4")
    out.write_bytes(content[:at] + matrix + content[at + len(matrix) :])
    return str(out)


def test_a_video_that_a_phone_held_sideways_is_read_upright(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"g": "4"})
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        pixels = np.zeros((32, 32, 3), dtype=np.uint8)
        pixels[:, :16] = 240  # bright on the left
        for _ in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    bright = {  # where it is when a player shows it
        str(tmp_path / "v.mp4"): "left",
        turned(tmp_path / "v.mp4", 0, 1, -1, 0): "top",
        turned(tmp_path / "v.mp4", -1, 0, 0, -1): "right",
        turned(tmp_path / "v.mp4", 0, -1, 1, 0): "bottom",
    }
    for path, side in bright.items():
        for frame in read_clip(path, FOUR, start=0.5, end=2.0).float().mean(1):  # [H, W]
            halves = {"left": frame[:, :4], "right": frame[:, 4:], "top": frame[:4], "bottom": frame[4:]}
            assert max(halves, key=lambda half: halves[half].mean().item()) == side, path


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_sound_that_goes_on_after_the_video_is_not_a_video_cut_off(tmp_path: Path, suffix: str) -> None:
    path = str(tmp_path / f"v.{suffix}")
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", rate=8000)
        for value in (20, 80, 140, 200):
            pixels = np.full((32, 32, 3), value, dtype=np.uint8)
            for _ in range(5):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
        for start in range(0, 10 * 8000, 1024):
            silence = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono"
            )
            silence.sample_rate, silence.pts = 8000, start
            container.mux(sound.encode(silence))
        container.mux(sound.encode(None))
    assert video.video_length(path) == pytest.approx(2.0)
    assert np.allclose(greys(read_clip(path, FOUR)), [20, 80, 140, 200], atol=3)
    streamed = open_source(path)
    assert len(list(streamed)) == 20
    assert streamed.notes == []


def test_frames_keep_the_order_of_their_numbers(tmp_path: Path, media: SimpleNamespace) -> None:
    for i in (1, 2, 10, 9):
        media.image(tmp_path / "f" / f"frame{i}.png", 10 * i)
    (tmp_path / "f" / "notes.txt").write_text("not a frame")
    assert greys(read_clip(str(tmp_path / "f"), FOUR)) == [10, 20, 90, 100]


def test_an_image_is_a_video_of_one_frame_repeated(tmp_path: Path, media: SimpleNamespace) -> None:
    clip = read_clip(str(media.image(tmp_path / "i.png", 77)), FOUR)
    assert clip.shape == (4, 3, 8, 8)
    assert clip.dtype == torch.uint8
    assert greys(clip) == [77] * 4


def test_a_frame_of_the_right_size_is_untouched_and_rgb(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size=(8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "i.png")
    clip = read_clip(str(tmp_path / "i.png"), FOUR)
    assert torch.equal(clip[0], torch.from_numpy(pixels).permute(2, 0, 1))


def test_the_shorter_side_is_resized_and_the_centre_cut_out(tmp_path: Path) -> None:
    pixels = np.zeros((16, 48, 3), dtype=np.uint8)
    pixels[:, 16:32] = 200  # the middle third is a square
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    Image.fromarray(pixels.transpose(1, 0, 2)).save(tmp_path / "tall.png")
    nearest = Preprocessing(size=(8, 8), num_frames=1, interpolation="nearest")
    for name in ("wide.png", "tall.png"):
        assert (read_clip(str(tmp_path / name), nearest) == 200).all()
    assert read_clip(str(tmp_path / "wide.png"), Preprocessing(size=(5, 7), num_frames=2)).shape == (
        2,
        3,
        5,
        7,
    )


def test_what_cannot_be_read_is_named_with_the_reason(tmp_path: Path, media: SimpleNamespace) -> None:
    def error(name: str, **stretch: float) -> str:
        with pytest.raises(MediaError) as caught:
            read_clip(str(tmp_path / name), FOUR, **stretch)
        assert str(tmp_path / name) in str(caught.value)
        return str(caught.value)

    media.video(tmp_path / "good.mp4", [10] * 20)
    media.image(tmp_path / "good.png", 3)
    assert "did you mean 'good.mp4'" in error("god.mp4")
    (tmp_path / "zero.png").touch()
    (tmp_path / "zero.mp4").touch()
    assert "0 bytes" in error("zero.png")
    assert "0 bytes" in error("zero.mp4")
    (tmp_path / "noise.mp4").write_bytes(b"noise" * 100)
    (tmp_path / "noise.jpg").write_bytes(b"noise" * 100)
    assert "corrupt" in error("noise.mp4")
    assert "corrupt" in error("noise.jpg")
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    assert "cannot read" in error("half.png")
    (tmp_path / "empty").mkdir()
    assert "holds no image" in error("empty")
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "0.png").touch()
    assert "'0.png' is empty" in error("frames")
    assert "behind the end" in error("good.mp4", start=7.0)
    assert "need a video" in error("good.png", start=1.0)


def test_a_video_cut_off_in_the_middle_is_noticed(tmp_path: Path, media: SimpleNamespace) -> None:
    path = media.video(tmp_path / "v.mkv", [(37 * i) % 250 for i in range(100)], size=64)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(MediaError, match=r"cut off|corrupt"):
        read_clip(str(path), FOUR)
