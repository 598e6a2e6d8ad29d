"""A few frames of a clip as small PNG files, read by the data module of an arm."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from jepa_vl.compare.plan import Comparison
from jepa_vl.compare.runs.parts import build_parts
from jepa_vl.errors import UserError

log = logging.getLogger(__name__)

FRAMES = 4
SIDE = 96  # pixels


def frames_of(comparison: Comparison, sample_set: str, ids: Sequence[str]) -> dict[str, list[bytes]]:
    """Return four frames of each sample; nothing where the data cannot be read here, with a warning."""
    values = comparison.arm(comparison.reference).values
    if not ids or "data" not in values:
        return {}
    try:
        data = build_parts(values)[0].data
        data.prepare_data()
        data.setup("test")
        samples = data.sample_set(sample_set)
        place = {sample.id: i for i, sample in enumerate(samples.samples)}
        clips = {name: samples.frames(place[name]) for name in ids if name in place}
    except UserError as error:
        log.warning("the report has no frames: %s", error)
        return {}
    return {name: strip(clip) for name, clip in clips.items() if clip is not None}


def strip(clip: Tensor) -> list[bytes]:
    """Return frames of a clip, uint8 ``[T, C, H, W]``, from its first to its last, one for an image."""
    count = min(FRAMES, len(clip))
    at = torch.linspace(0, len(clip) - 1, count).round().long().tolist()
    return [_png(clip[i]) for i in at]


def _png(frame: Tensor) -> bytes:
    picture = Image.fromarray(frame.permute(1, 2, 0).numpy())  # [H, W, C]
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.quantize(64).save(out, format="PNG", optimize=True)
    return out.getvalue()
