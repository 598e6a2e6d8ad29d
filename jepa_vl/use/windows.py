"""Where the windows of a video lie, and which media a folder holds."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jepa_vl.data.video import IMAGE_SUFFIXES, video_length
from jepa_vl.errors import UserError
from jepa_vl.use.gallery import Media

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"}
    | {".ogv", ".ts", ".webm", ".wmv"}
)


def windows(length: float, *, window: float, stride: float) -> NDArray[np.float64]:
    """Return start and end ``[n, 2]`` in seconds of the windows of a video.

    Every window is as long as ``window``: the last one ends with the video. A video that is shorter is one
    window.
    """
    if length <= window:
        return np.array([[0.0, length]])
    starts = np.arange(0, length - window + 1e-6, stride)
    if starts[-1] + window < length - 1e-3:
        starts = np.append(starts, length - window)
    return np.stack([starts, starts + window], axis=1)


def windows_of(path: Path, *, window: float, stride: float) -> NDArray[np.float64]:
    """Return the windows ``[n, 2]`` of a file; an image is one window, without seconds (NaN).

    Raises:
        MediaError: The video cannot be read.
    """
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return np.full((1, 2), np.nan)
    return windows(video_length(str(path)), window=window, stride=stride)


def find_media(folder: Path) -> dict[str, Media]:
    """Return the videos and images of a folder and of those in it, by path; hidden ones are left out.

    Raises:
        UserError: There is no such folder, or none of either in it.
    """
    if not folder.is_dir():
        raise UserError(
            f"there is no folder '{folder}'" if not folder.exists() else f"'{folder}' is no folder"
        )
    found = {}
    for place, inner, files in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for name in sorted(files):
            file = Path(place) / name
            if name.startswith(".") or file.suffix.lower() not in VIDEO_SUFFIXES | IMAGE_SUFFIXES:
                continue
            if not file.is_file():  # a link to nothing
                continue
            state, path = file.stat(), file.relative_to(folder).as_posix()
            found[path] = Media(path, state.st_size, state.st_mtime_ns)
    if not found:
        kinds = ", ".join(sorted(suffix[1:] for suffix in VIDEO_SUFFIXES | IMAGE_SUFFIXES))
        raise UserError(f"{folder} holds no video and no image ({kinds}), nor does a folder in it")
    return found
