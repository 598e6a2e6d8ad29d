"""What a user calls a video → uint8 frames ``[T, C, H, W]`` as the encoder wants them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from jepa_vl.data.video import fit_frame, read_clip, uniform_indices
from jepa_vl.errors import UserError
from jepa_vl.vision.base import Preprocessing


class Stretch(NamedTuple):
    """A part of a video.

    Attributes:
        path: File or URL.
        start: Where it begins, in seconds; None means the beginning.
        end: Where it ends, in seconds; None means the end.
    """

    path: str | Path
    start: float | None = None
    end: float | None = None


#: A path or URL of a video, an image or a folder of frames; a stretch of one; an array or tensor
#: ``[T, H, W, C]`` or ``[T, C, H, W]`` (an image: without T); an image; or a list of frames.
Video = str | Path | Stretch | NDArray[Any] | Tensor | Image.Image | Sequence[Any]
#: One video, or a list of them, or an array or tensor ``[B, T, …]``.
Videos = Video | Sequence[Video]

EXPECTED = (
    "expected RGB as uint8 (0 to 255) or as floats in [0, 1], of shape [T, H, W, 3] or [T, 3, H, W] "
    "(an image: without T)"
)


def several(videos: Videos) -> tuple[list[Video], bool]:
    """Return the videos as a list, and whether it was a single one.

    A list of images or of 3-dimensional arrays is one video, its frames; any other list is of videos.

    Raises:
        UserError: The list is empty, or it is nothing that can be a video.
    """
    if isinstance(videos, str | Path | Stretch | Image.Image):
        return [videos], True
    if isinstance(videos, np.ndarray | Tensor):
        if videos.ndim == 5:
            return list(videos), False
        return [videos], True
    if not isinstance(videos, Sequence):
        raise UserError(f"a video cannot be a {type(videos).__name__}; {EXPECTED}, a path or a URL")
    if not len(videos):
        raise UserError("the list of videos is empty; give at least one")
    if all(_is_frame(entry) for entry in videos):
        return [videos], True
    return list(videos), False


def read_frames(video: Video, preprocessing: Preprocessing) -> Tensor:
    """Read one video as its encoder wants it.

    T frames are taken from the centres of equal intervals, and resized and cropped as in training.

    Returns:
        uint8 RGB ``[T, C, H, W]``.

    Raises:
        MediaError: A file is missing, empty or corrupt.
        UserError: An array or a list is none of frames.
    """
    if isinstance(video, str | Path):
        video = Stretch(video)
    if isinstance(video, Stretch):
        return read_clip(str(video.path), preprocessing, start=video.start, end=video.end)
    if isinstance(video, Image.Image):
        video = [video]
    if isinstance(video, np.ndarray | Tensor):
        frames: Any = _rgb_frames(video)
    elif isinstance(video, Sequence) and len(video) and all(_is_frame(entry) for entry in video):
        frames = video
    else:
        raise UserError(f"a video cannot be a {type(video).__name__}; {EXPECTED}, a path or a URL")
    chosen = uniform_indices(len(frames), preprocessing.num_frames)
    fitted = {i: fit_frame(_image(frames[i]), preprocessing) for i in dict.fromkeys(chosen)}
    return torch.stack([fitted[i] for i in chosen])  # [T, C, H, W]


def describe(video: Video, position: int) -> str:
    """Name a video for messages and tables: its path, else its place in the list."""
    if isinstance(video, Stretch):
        return str(video.path)
    return str(video) if isinstance(video, str | Path) else f"video {position}"


def _is_frame(entry: Any) -> bool:
    return isinstance(entry, Image.Image) or (isinstance(entry, np.ndarray | Tensor) and entry.ndim == 3)


def _image(frame: Any) -> Image.Image:
    if isinstance(frame, Image.Image):
        return frame.convert("RGB")
    return Image.fromarray(np.ascontiguousarray(_rgb_frames(frame)[0]))


def _rgb_frames(video: NDArray[Any] | Tensor) -> NDArray[np.uint8]:
    """Return uint8 ``[T, H, W, 3]``.

    Raises:
        UserError: It is of another shape or type, holds no frame, or its layout is ambiguous.
    """
    array = video.detach().cpu().numpy() if isinstance(video, Tensor) else video
    shape = "[" + ", ".join(map(str, array.shape)) + "]"
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or not array.size:
        raise UserError(f"a video of shape {shape}; {EXPECTED}")
    first, last = array.shape[1] == 3, array.shape[-1] == 3
    if first and last:
        raise UserError(f"a video of shape {shape} could be [T, H, W, 3] or [T, 3, H, W]; {EXPECTED}")
    if not first and not last:
        raise UserError(f"a video of shape {shape} has no three channels; {EXPECTED}")
    if np.issubdtype(array.dtype, np.floating):
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):  # also when they are not numbers
            raise UserError(f"a video of {array.dtype} from {low:g} to {high:g}; {EXPECTED}")
        array = np.rint(array * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise UserError(f"a video of {array.dtype}; {EXPECTED}")
    return np.moveaxis(array, 1, -1) if first else array  # [T, H, W, C]
