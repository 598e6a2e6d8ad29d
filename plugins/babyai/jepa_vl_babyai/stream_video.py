"""What worker processes do for streams: play one, draw it, and write it as a video file."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from jepa_vl_babyai.episodes import draw
from jepa_vl_babyai.stream_settings import FPS, StreamSettings
from jepa_vl_babyai.streams import Story, tell


def save_stream(settings: StreamSettings, split: str, number: int, file: Path) -> Story:
    """Write the video of stream ``number`` of ``split`` and return its story."""
    story = tell(settings, split, number)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_video(file, draw(story.views, story.agents, settings.tile))
    return story


def write_video(file: Path, frames: NDArray[np.uint8]) -> None:
    """Write ``[T, H, W, 3]`` as H.264 without loss, with a keyframe every second.

    Colours stay RGB: with half the colour resolution, as is usual, cells of eight pixels would blur.
    """
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264rgb", rate=FPS, options={"qp": "0"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "rgb24"
        stream.gop_size = FPS
        stream.codec_context.thread_count = 1  # equal bytes on every machine
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
