"""A stream as one picture: its frames in rows, with seconds and with every annotation at its time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av
from PIL import Image, ImageDraw, ImageFont

from jepa_vl.sample import Sample
from jepa_vl_babyai.stream_settings import FPS

_SIDE = 64  # of a frame, in pixels
_STEP = _SIDE + 4
_LINE = 15  # height of a line of text
_INK, _PALE, _MARK = (30, 30, 40), (110, 110, 125), (200, 40, 40)


def stream_sheet(
    samples: Iterable[Sample], video: Path, *, start: float = 0.0, rows: int = 12, frames: int = 24
) -> Image.Image:
    """Draw a stretch of a stream. An annotation stands under the first frame after it, which has a mark.

    Args:
        samples: Those of the stream that have ``timestamps`` are drawn.
        video: Its file.
        start: Second that the picture begins with.
        rows: Rows of frames.
        frames: Frames in a row.

    Returns:
        An RGB picture; save it as PNG.
    """
    first = round(start * FPS)
    shown = _frames(video)[first : first + rows * frames]
    said = {round(t * FPS): s.target for s in samples for t in s.timestamps or ()}
    height = _LINE + _SIDE + 2 * _LINE + 8
    sheet = Image.new("RGB", (frames * _STEP, -(-len(shown) // frames) * height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    for i, frame in enumerate(shown):
        left, top = i % frames * _STEP + 2, i // frames * height
        sheet.paste(frame.resize((_SIDE, _SIDE)), (left, top + _LINE))
        if (first + i) % FPS == 0:
            pen.text((left, top), f"{(first + i) // FPS} s", fill=_PALE, font=font)
        if first + i in said:
            around = (left - 2, top + _LINE - 2, left + _SIDE + 1, top + _LINE + _SIDE + 1)
            pen.rectangle(around, outline=_MARK, width=2)
    for turn, at in enumerate(sorted(at for at in said if first <= at < first + len(shown))):
        i = at - first
        width = pen.textlength(said[at], font=font)
        left = min(i % frames * _STEP, sheet.width - int(width) - 2)
        # by turns on two lines, for captions are longer than what is between some events
        pen.text(
            (left, i // frames * height + _LINE + _SIDE + 2 + turn % 2 * _LINE),
            said[at],
            fill=_INK,
            font=font,
        )
    return sheet


def _frames(video: Path) -> list[Image.Image]:
    with av.open(str(video)) as container:
        return [frame.to_image() for frame in container.decode(video=0)]
