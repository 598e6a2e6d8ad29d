"""What people look at in TensorBoard: predictions beside their frames, and the embedding projector."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import TextWrapper

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from jepa_vl.data.base import SampleSet
from jepa_vl.errors import UserError
from jepa_vl.sample import Sample
from jepa_vl.tasks.base import Example

HEIGHT, TEXT_WIDTH, LINE, MOST_FRAMES = 96, 420, 58, 8
RIGHT, WRONG, INK = (20, 120, 40), (180, 40, 30), (30, 30, 30)


def add_examples(
    writer: SummaryWriter, tag: str, examples: Sequence[Example], samples: SampleSet, *, step: int
) -> None:
    """Add a Markdown table of predictions, and an image of the same ones beside their frames."""
    if not examples:
        return
    lines = ["| | question | predicted | expected | score |", "| --- | --- | --- | --- | --- |"]
    for example in examples:
        mark = "✓" if example.predicted == example.expected else "✗"
        score = "" if example.score is None else f"{example.score:.3f}"
        cells = [mark, example.sample.query, example.predicted, example.expected, score]
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    writer.add_text(f"{tag}/examples", "\n".join(lines), step)
    at = {sample.id: i for i, sample in enumerate(samples.samples)}
    shown = []
    for example in examples:
        try:
            frames = samples.frames(at[example.sample.id])
        except UserError:  # media that cannot be read are reported where they are counted
            frames = None
        if frames is not None:
            shown.append((example, frames))
    if shown:
        writer.add_image(f"{tag}/frames", contact_sheet(shown), step, dataformats="HWC")


def contact_sheet(rows: Sequence[tuple[Example, Tensor]]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Draw a row for each example: its frames (uint8 ``[T, C, H, W]``), then what was asked and said.

    Returns:
        uint8 ``[height, width, 3]``.
    """
    strips = [_strip(frames) for _, frames in rows]
    left = max(strip.width for strip in strips)
    sheet = Image.new("RGB", (left + TEXT_WIDTH, HEIGHT * len(rows)), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    wrap = TextWrapper(width=LINE, max_lines=2, placeholder=" …", subsequent_indent="    ")
    for i, ((example, _), strip) in enumerate(zip(rows, strips, strict=True)):
        sheet.paste(strip, (0, i * HEIGHT))
        right = example.predicted == example.expected
        said = [
            (example.sample.query, INK),
            (f"predicted  {example.predicted}", RIGHT if right else WRONG),
            (f"expected   {example.expected}", INK),
        ]
        lines = [(line, colour) for text, colour in said for line in wrap.wrap(text)]
        for j, (line, colour) in enumerate(lines):
            draw.text((left + 10, i * HEIGHT + 3 + 15 * j), line, fill=colour, font=font)
    return np.asarray(sheet)


def _strip(frames: Tensor) -> Image.Image:
    every = max(1, -(-len(frames) // MOST_FRAMES))
    images = [Image.fromarray(f.permute(1, 2, 0).numpy()) for f in frames[::every]]
    width = max(1, round(images[0].width * HEIGHT / images[0].height))
    strip = Image.new("RGB", ((width + 2) * len(images), HEIGHT), "white")
    for i, image in enumerate(images):
        strip.paste(image.resize((width, HEIGHT - 2), Image.Resampling.NEAREST), (i * (width + 2), 0))
    return strip


def add_projection(
    writer: SummaryWriter,
    *,
    videos: tuple[list[Sample], Tensor],
    texts: tuple[list[str], Tensor],
    step: int,
) -> None:
    """Add predicted embeddings ``[V, E]`` and those of captions ``[C, E]``, with the captions as labels."""
    samples, predicted = videos
    captions, embedded = texts
    rows = [[s.target, s.label or "", "video"] for s in samples] + [[c, "", "text"] for c in captions]
    writer.add_embedding(
        torch.cat([predicted, embedded]),
        metadata=[[" ".join(cell.split()) for cell in row] for row in rows],
        metadata_header=["caption", "label", "side"],
        tag="embeddings",
        global_step=step,
    )
