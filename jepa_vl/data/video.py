"""Decoding: a stretch of a video file, an image, or a folder of frames → uint8 ``[T, C, H, W]``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
import torch
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from jepa_vl.data.records import is_url, missing_file
from jepa_vl.errors import ManifestError
from jepa_vl.vision.base import Preprocessing

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
#: How a video is held in its file → how it is shown, in degrees counter-clockwise.
TURNS = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}
DECODING_ERRORS = (OSError, av.error.FFmpegError, ValueError, SyntaxError, Image.DecompressionBombError)
_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
CUT_OFF_SECONDS = 1.0  # how much sooner than its header says a video may end


class MediaError(ManifestError):
    """Media that cannot be read; names the file and says why.

    Args:
        message: All of it.
        reason: The part of it that says why.
    """

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason or message


def read_clip(
    path: str, preprocessing: Preprocessing, *, start: float | None = None, end: float | None = None
) -> Tensor:
    """Decode the frames that an encoder wants of a stretch of media.

    The stretch is cut in T equal intervals, and the frame shown at the centre of each is taken. An image is
    T times the same frame.

    Args:
        path: A video, an image, a folder of frames (in natural order of their names), or a URL.
        preprocessing: T, and the size.
        start: Where the stretch begins, in seconds; videos only.
        end: Where it ends; the end of the video where that comes first.

    Returns:
        uint8 RGB ``[T, C, H, W]``.

    Raises:
        MediaError: The media is missing, empty or corrupt, or has no such stretch.
    """
    try:
        images = _frames(path, preprocessing.num_frames, start, end)
    except (MediaError, *DECODING_ERRORS) as error:
        reason = _reason(error)
        raise MediaError(f"cannot read '{path}': {reason}", reason=reason) from error
    return torch.stack([fit_frame(image, preprocessing) for image in images])  # [T, C, H, W]


def video_length(path: str) -> float:
    """Return the length of a video in seconds.

    Raises:
        MediaError: The file is missing, empty or corrupt, or there is no video in it.
    """
    try:
        if not is_url(path) and Path(path).stat().st_size == 0:
            raise MediaError("the file is empty (0 bytes)")
        with av.open(path) as container:
            if not container.streams.video:
                raise MediaError("there is no video stream in it")
            return _length(container, container.streams.video[0])
    except (MediaError, *DECODING_ERRORS) as error:
        reason = _reason(error)
        raise MediaError(f"cannot read '{path}': {reason}", reason=reason) from error


def uniform_indices(available: int, wanted: int) -> list[int]:
    """Return the positions, among ``available`` frames, at the centres of ``wanted`` equal intervals.

    Where fewer are available than wanted, some occur more than once.
    """
    return [(2 * i + 1) * available // (2 * wanted) for i in range(wanted)]


def frame_files(folder: Path) -> list[Path]:
    """Return the images of a folder in natural order: ``2.png`` before ``10.png``."""
    return sorted((f for f in folder.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES), key=_natural)


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def _frames(path: str, wanted: int, start: float | None, end: float | None) -> Sequence[Image.Image]:
    if is_url(path):
        return _from_video(path, wanted, start, end)
    file = Path(path)
    if not file.exists():
        raise MediaError(missing_file(file))
    if file.is_file() and file.stat().st_size == 0:
        raise MediaError("the file is empty (0 bytes)")
    if file.is_file() and file.suffix.lower() not in IMAGE_SUFFIXES:
        return _from_video(path, wanted, start, end)
    if start is not None or end is not None:
        raise MediaError("'start' and 'end' need a video; an image or a folder of frames knows no seconds")
    if file.is_file():
        return [_open(file)] * wanted
    files = frame_files(file)
    if not files:
        raise MediaError(f"the folder holds no image ({', '.join(sorted(IMAGE_SUFFIXES))})")
    chosen = [files[i] for i in uniform_indices(len(files), wanted)]
    opened = {name: _open(name) for name in dict.fromkeys(chosen)}
    return [opened[name] for name in chosen]


def _open(file: Path) -> Image.Image:
    if file.stat().st_size == 0:
        raise MediaError(f"'{file.name}' is empty (0 bytes)")
    with Image.open(file) as image:
        return image.convert("RGB")


def _from_video(path: str, wanted: int, start: float | None, end: float | None) -> list[Image.Image]:
    with av.open(path) as container:
        if not container.streams.video:
            raise MediaError("there is no video stream in it")
        stream = container.streams.video[0]
        length = _length(container, stream)
        first = start or 0.0
        last = length if end is None else min(end, length)
        if first >= last:
            raise MediaError(f"'start' ({first:g} s) lies behind the end of the video ({length:g} s)")
        step = (last - first) / wanted
        times = [first + (i + 0.5) * step for i in range(wanted)]  # centres of T equal intervals
        return [upright(frame) for frame in _shown_at(container, stream, times)]


def announced_length(container: InputContainer, stream: VideoStream) -> float | None:
    """Length of the video in seconds as its header has it."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    # Matroska's header has the length of the whole file, and its sound may go on for longer than the video
    if clock := _CLOCK.fullmatch(stream.metadata.get("DURATION", "")):
        return int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3])
    return container.duration / av.time_base if container.duration else None


def _length(container: InputContainer, stream: VideoStream) -> float:
    """Length of the video in seconds, from its header, else from its packets."""
    assert stream.time_base is not None
    announced = announced_length(container, stream)
    if announced is not None:
        return announced
    ends = [p.pts + (p.duration or 0) for p in container.demux(stream) if p.pts is not None]
    if not ends:
        raise MediaError("it holds no frame")
    container.seek(stream.start_time or 0, stream=stream)
    return float((max(ends) - (stream.start_time or 0)) * stream.time_base)


def _shown_at(container: InputContainer, stream: VideoStream, times: Sequence[float]) -> Iterator[VideoFrame]:
    """Yield the frame on show at each of the ascending times, decoding no more than that takes."""
    assert stream.time_base is not None
    base, zero = float(stream.time_base), stream.start_time or 0
    keys = [entry.timestamp for entry in stream.index_entries if entry.is_keyframe]
    # an index tells when to decode a keyframe, which comes before it is shown where frames are reordered
    delay = max(0, zero - keys[0]) if keys else 0
    reached = zero
    shown: VideoFrame | None = None
    upcoming: VideoFrame | None = None
    frames: Iterator[VideoFrame] = container.decode(stream)
    for time in times:
        target = zero + int(time / base)
        nearer = [key for key in keys if reached < key and key + delay <= target]
        if nearer:  # nothing between here and the last keyframe before the target need be decoded
            container.seek(max(nearer), stream=stream)
            frames, shown, upcoming = container.decode(stream), None, None
        while True:
            upcoming = upcoming or next(frames, None)
            if upcoming is None:
                _check_not_cut_off(shown, time, zero, base)
                break
            if shown is not None and (_pts(upcoming) - zero - 0.5) * base > time:
                break
            shown, upcoming = upcoming, None
        assert shown is not None
        reached = _pts(upcoming or shown)
        yield shown


def _check_not_cut_off(last: VideoFrame | None, time: float, zero: int, base: float) -> None:
    """Notice a file that ends long before its header says it does."""
    if last is None:
        raise MediaError("it holds no frame")
    ends = (_pts(last) + (last.duration or 0) - zero) * base
    if time > ends + CUT_OFF_SECONDS:
        raise MediaError(f"cut off: there is no frame after {ends:.1f} s, {time:.1f} s was asked for")


def _pts(frame: VideoFrame) -> int:
    if frame.pts is None:
        raise MediaError("its frames carry no time stamps")
    return frame.pts


def upright(frame: VideoFrame) -> Image.Image:
    """Return a frame the way up that players show it; a phone notes how it was held beside the frames."""
    image: Image.Image = frame.to_image()
    turn = TURNS.get(frame.rotation % 360)
    return image if turn is None else image.transpose(turn)


def fit_frame(image: Image.Image, preprocessing: Preprocessing) -> Tensor:
    """Bring a frame to its size; one that has it stays untouched, unless its border is to be cut off."""
    height, width = preprocessing.size
    if image.size != (width, height) or preprocessing.resize_to is not None:
        image = _resized(image, preprocessing)
        left, top = _centred(image.width, width), _centred(image.height, height)
        image = image.crop((left, top, left + width, top + height))  # black where there is nothing
    array = np.array(image.convert("RGB"))  # a writable copy
    return torch.from_numpy(array).permute(2, 0, 1).contiguous()  # [H, W, C] → [C, H, W]


def _centred(side: int, wanted: int) -> int:
    """Where the middle ``wanted`` pixels of a side begin; halves go where open_clip puts them."""
    return round((side - wanted) / 2) if side >= wanted else -((wanted - side) // 2)


def _resized(image: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    height, width = preprocessing.size
    scales = Fraction(height, image.height), Fraction(width, image.width)
    if preprocessing.resize_mode == "squash":
        size = (width, height)
    elif preprocessing.resize_mode == "longest":
        size = (max(1, round(image.width * min(scales))), max(1, round(image.height * min(scales))))
    else:
        # the larger side is rounded down, as torchvision does it
        larger = Fraction(preprocessing.resize_to or min(height, width), min(height, width))
        scale = max(scales) * larger
        size = (int(image.width * scale), int(image.height * scale))
    return image.resize(size, FILTERS[preprocessing.interpolation])


def _reason(error: Exception) -> str:
    if isinstance(error, av.error.FFmpegError):
        return f"corrupt or of an unknown format ({error.strerror or 'decoding failed'})"
    if isinstance(error, UnidentifiedImageError):
        return "corrupt or of an unknown format"
    return str(error)
