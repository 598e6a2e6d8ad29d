"""Single frames of a video, written as images: the states between which something is done."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import av
from PIL.Image import Image

from jepa_vl.data.video import DECODING_ERRORS, MediaError, upright

QUALITY = 95  # of the JPEG files


def write_stills(video: Path, seconds: Sequence[float], folder: Path) -> None:
    """Write the frame that is on show at each second as ``0.jpg``, ``1.jpg``, … into a folder.

    After the end of the video its last frame is taken. A folder that is there already is left as it is; it
    appears whole or not at all.

    Raises:
        MediaError: The video cannot be read.
    """
    if folder.is_dir():
        return
    try:
        frames = [_shown_at(video, second) for second in seconds]
    except DECODING_ERRORS as error:
        raise MediaError(f"cannot read '{video}': {error}") from error
    unfinished = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for number, frame in enumerate(frames):
        frame.save(unfinished / f"{number}.jpg", quality=QUALITY)
    unfinished.replace(folder)


def _shown_at(video: Path, second: float) -> Image:
    with av.open(str(video)) as container:
        if not container.streams.video:
            raise ValueError("there is no video stream in it")
        stream = container.streams.video[0]
        assert stream.time_base is not None
        wanted = (stream.start_time or 0) + int(second / stream.time_base)
        container.seek(wanted, stream=stream)  # to the keyframe before it
        shown = None
        for frame in container.decode(stream):
            if shown is not None and frame.pts is not None and frame.pts > wanted:
                break
            shown = frame
        if shown is None:
            raise ValueError(f"there is no frame at {second:g} s")
        return upright(shown)
