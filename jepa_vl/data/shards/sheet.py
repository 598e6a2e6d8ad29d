"""A contact sheet of a prepared set: clips with the texts about them; tokens are shown as colours."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from jepa_vl.data.shards.reading import ShardReader
from jepa_vl.data.shards.tables import Line
from jepa_vl.data.video import uniform_indices
from jepa_vl.sample import Sample

_SIDE = 128  # height of a picture, in pixels
_MOST_FRAMES = 8
_MOST_TEXTS = 6
_GAP, _MARGIN, _LINE, _TEXT = 4, 16, 18, 460
_NARROW = 300  # width of the pictures up to which two clips stand side by side
_INK, _PALE, _FAINT = (28, 28, 38), (95, 95, 112), (150, 150, 165)
_RULE, _BAND = (222, 222, 230), (240, 240, 246)


def contact_sheet(reader: ShardReader, *, clips: int = 4, seed: int = 0) -> Image.Image:
    """Draw some clips of each split, a row each: its pictures (or its tokens), and what is said of it.

    Tokens ``[N, D]`` are shown as the first three principal components of those on the sheet, as red,
    green and blue, one picture for each step of time.

    Args:
        reader: The set.
        clips: How many of each split.
        seed: Of which they are.

    Raises:
        UserError: A table or a shard is missing or damaged.
    """
    drawn: list[tuple[str, int, list[Sample]]] = []
    for split, table in reader.prepared.tables.items():
        if table.has_media and table.samples:
            drawn += [(split, *chosen) for chosen in _some(reader.lines(split), clips, seed)]
    pictures = _pictures(reader, [row for _, row, _ in drawn])
    left = max((_width(strip) for strip in pictures), default=_SIDE)
    columns = 2 if left <= _NARROW else 1
    width = columns * (3 * _MARGIN + left + _TEXT)
    parts: list[Image.Image] = [_heading(reader, width)]
    for split in reader.prepared.tables:
        rows = [
            _row(strip, row, samples, left)
            for (of, row, samples), strip in zip(drawn, pictures, strict=True)
            if of == split
        ]
        if rows:
            parts.append(_band(split, width))
        parts += [_beside(rows[i : i + columns], width) for i in range(0, len(rows), columns)]
    return _below(parts)


def _some(lines: Sequence[Line], clips: int, seed: int) -> list[tuple[int, list[Sample]]]:
    """Some rows, and every sample that shows them."""
    by_row: dict[int, list[Sample]] = defaultdict(list)
    for line in lines:
        if line.row is not None:
            by_row[line.row].append(line.sample)
    chosen = random.Random(seed).sample(sorted(by_row), min(clips, len(by_row)))
    return [(row, by_row[row]) for row in chosen]


def _pictures(reader: ShardReader, rows: Sequence[int]) -> list[list[Image.Image]]:
    features = reader.prepared.plan.features
    if features is None:
        return [[_picture(frame.movedim(0, -1).numpy()) for frame in _few(reader.video(row))] for row in rows]
    tokens = [reader.tokens(row).float() for row in rows]
    if not tokens:
        return []
    colours = _colours(torch.stack(tokens)).unflatten(1, features.grid)  # [R, T, H, W, 3]
    return [[_picture(step.numpy(), exact=True) for step in _few(clip)] for clip in colours]


def _few(frames: Tensor) -> Tensor:
    return frames[uniform_indices(len(frames), min(len(frames), _MOST_FRAMES))]


def _colours(tokens: Tensor) -> Tensor:
    """Tokens ``[R, N, D]`` → uint8 ``[R, N, 3]``: three principal components, without their extremes."""
    flat = tokens.flatten(0, 1)
    flat = flat - flat.mean(0)
    kept = min(3, *flat.shape)
    _, _, axes = torch.linalg.svd(flat, full_matrices=False)
    parts = torch.zeros(len(flat), 3)
    parts[:, :kept] = flat @ axes[:kept].T
    low, high = parts.quantile(0.02, dim=0), parts.quantile(0.98, dim=0)
    scaled = ((parts - low) / (high - low).clamp(min=1e-8)).clamp(0, 1)
    return (scaled * 255).round().to(torch.uint8).unflatten(0, tokens.shape[:2])


def _picture(array: np.ndarray[Any, Any], *, exact: bool = False) -> Image.Image:
    """An image of the sheet's height; small ones are enlarged without smoothing."""
    image = Image.fromarray(np.ascontiguousarray(array))
    width = max(1, round(image.width * _SIDE / image.height))
    small = exact or image.height <= _SIDE
    return image.resize((width, _SIDE), Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS)


def _width(strip: Sequence[Image.Image]) -> int:
    return sum(image.width for image in strip) + _GAP * (len(strip) - 1)


def _beside(images: Sequence[Image.Image], width: int) -> Image.Image:
    line, pen = _blank(max(image.height for image in images), width)
    for i, image in enumerate(images):
        line.paste(image, (i * image.width, 0))
    pen.line([(_MARGIN, line.height - 1), (width - _MARGIN, line.height - 1)], fill=_RULE)
    return line


def _below(images: Sequence[Image.Image]) -> Image.Image:
    sheet, _ = _blank(sum(image.height for image in images) + _MARGIN, images[0].width)
    top = 0
    for image in images:
        sheet.paste(image, (0, top))
        top += image.height
    return sheet


def _blank(height: int, width: int, colour: Any = "white") -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (width, height), colour)
    return image, ImageDraw.Draw(image)


def _heading(reader: ShardReader, width: int) -> Image.Image:
    prepared = reader.prepared
    samples = sum(table.samples for table in prepared.tables.values())
    tokens = prepared.plan.features is not None
    what = "the tokens' first three principal components as colours" if tokens else "pictures"
    image, pen = _blank(3 * _LINE + _MARGIN, width)
    pen.text((_MARGIN, _MARGIN), reader.store.place, fill=_INK, font=_font(16))
    told = f"{samples:,} samples, {len(reader):,} stored clips, {len(prepared.shards):,} shards; {what}"
    pen.text((_MARGIN, _MARGIN + _LINE + 6), told, fill=_PALE, font=_font(13))
    return image


def _band(text: str, width: int) -> Image.Image:
    image, pen = _blank(_LINE + 10, width, _BAND)
    pen.text((_MARGIN, 5), text, fill=_INK, font=_font(14))
    return image


def _row(strip: Sequence[Image.Image], row: int, samples: Sequence[Sample], left: int) -> Image.Image:
    texts = [_told(sample) for sample in samples[:_MOST_TEXTS]]
    more = f", and {len(samples) - _MOST_TEXTS} more samples" if len(samples) > _MOST_TEXTS else ""
    texts.append((f"clip {row}: {samples[0].media}{more}", _FAINT))
    image, pen = _blank(max(_SIDE, _LINE * len(texts)) + _MARGIN, 3 * _MARGIN + left + _TEXT)
    at = _MARGIN
    for picture in strip:
        image.paste(picture, (at, _MARGIN // 2))
        at += picture.width + _GAP
    for number, (text, ink) in enumerate(texts):
        font = _font(11 if ink == _FAINT else 13)
        shown = _shortened(text, _TEXT, pen, font)
        pen.text((2 * _MARGIN + left, _MARGIN // 2 + number * _LINE), shown, fill=ink, font=font)
    return image


def _told(sample: Sample) -> tuple[str, tuple[int, int, int]]:
    if not sample.query:
        return sample.target or f"({sample.kind})", _INK
    return f"{sample.query}  {sample.target}", _PALE


def _shortened(text: str, width: int, pen: ImageDraw.ImageDraw, font: Any) -> str:
    if pen.textlength(text, font=font) <= width:
        return text
    while text and pen.textlength(text + "...", font=font) > width:
        text = text[:-1]
    return text + "..."


def _font(size: int) -> Any:
    return ImageFont.load_default(size=size)
