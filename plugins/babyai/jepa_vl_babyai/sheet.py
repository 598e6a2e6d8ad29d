"""A contact sheet: the frames of some clips with their captions and questions, as one picture."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from jepa_vl.sample import Sample

_MARGIN = 12
_LINE = 17  # height of a line of text, in pixels
_TEXT = 420  # width of the text beside the frames
_INK, _PALE = (30, 30, 40), (110, 110, 125)


def contact_sheet(
    samples: Iterable[Sample], root: Path, *, clips: int = 8, scale: int = 2, columns: int = 1
) -> Image.Image:
    """Draw the first clips of a manifest, each a row of frames with its texts beside it.

    Args:
        samples: Records in the order of the manifest; those of one clip stand together.
        root: The folder their media paths start from.
        clips: How many clips.
        scale: How many times larger than stored the frames are drawn.
        columns: Clips side by side.

    Returns:
        An RGB picture; save it as PNG.
    """
    rows = []
    for media, members in groupby(samples, key=lambda s: s.media):
        rows.append(_row(root / media, list(members), scale))
        if len(rows) == clips:
            break
    width = max((r.width for r in rows), default=1)
    height = max((r.height for r in rows), default=1)
    lines = -(-len(rows) // columns)
    sheet = Image.new("RGB", (columns * width, lines * height), "white")
    for i, row in enumerate(rows):
        sheet.paste(row, (i % columns * width, i // columns * height))
    return sheet


def _row(folder: Path, members: list[Sample], scale: int) -> Image.Image:
    frames = [Image.open(f) for f in sorted(folder.glob("*.png"), key=lambda f: int(f.stem))]
    side = frames[0].width * scale
    texts = [(s.target, _INK) if not s.query else (f"{s.query}  {s.target}", _PALE) for s in members]
    height = max(side, _LINE * len(texts)) + _MARGIN
    row = Image.new("RGB", (len(frames) * (side + 4) + _TEXT + 2 * _MARGIN, height), "white")
    for t, frame in enumerate(frames):
        row.paste(
            frame.resize((side, side), Image.Resampling.NEAREST), (_MARGIN + t * (side + 4), _MARGIN // 2)
        )
    pen, font = ImageDraw.Draw(row), ImageFont.load_default(size=13)
    left = 2 * _MARGIN + len(frames) * (side + 4)
    for i, (text, ink) in enumerate(texts):
        pen.text((left, _MARGIN // 2 + i * _LINE), text, fill=ink, font=font)
    return row
