"""A clip ↔ the item of a shard: a stamp, then its pictures or its tokens, each as bytes."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from jepa_vl.data.feature_cache import STORED
from jepa_vl.data.shards.description import IDENTITY_BYTES, Features, Frames, Plan
from jepa_vl.errors import UserError

Content = bytes | memoryview
_CHECK = struct.Struct("<I")


def stamped(plan: Plan, parts: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the item of a clip: which set it belongs to and a checksum, then its parts."""
    return (plan.identity + _CHECK.pack(_checksum(parts)), *parts)


def opened(plan: Plan, item: Sequence[Content], where: str, *, check: bool = True) -> list[Content]:
    """Return the parts of an item.

    Args:
        plan: Of the set.
        item: What litdata read.
        where: The item, for messages.
        check: Whether to compare the checksum; which set it is of is looked at in any case.

    Raises:
        UserError: It belongs to another set, or is damaged.
    """
    stamp, *parts = item
    stamp = bytes(stamp)
    if stamp[:IDENTITY_BYTES] != plan.identity:
        raise UserError(f"{where}: it belongs to another prepared set; prepare the data anew")
    if check and stamp[IDENTITY_BYTES:] != _CHECK.pack(_checksum(parts)):
        raise UserError(f"{where}: it is damaged (its checksum differs); prepare the data anew")
    return parts


def pack_frames(video: Tensor, frames: Frames) -> list[bytes]:
    """Encode uint8 ``[T, C, H, W]``, a picture a frame; one that repeats the frame before it is empty."""
    packed: list[bytes] = []
    for t, frame in enumerate(video):
        if t and torch.equal(frame, video[t - 1]):
            packed.append(b"")
            continue
        image = Image.fromarray(frame.permute(1, 2, 0).contiguous().numpy())
        file = io.BytesIO()
        if frames.codec == "png":
            image.save(file, "PNG", compress_level=4)
        else:
            image.save(file, "JPEG", quality=frames.quality, subsampling=0)  # colour at full resolution
        packed.append(file.getvalue())
    return packed


def unpack_frames(parts: Sequence[Content]) -> Tensor:
    """Decode to uint8 ``[T, C, H, W]``."""
    arrays: list[np.ndarray[Any, Any]] = []
    for part in parts:
        arrays.append(np.asarray(Image.open(io.BytesIO(part)).convert("RGB")) if len(part) else arrays[-1])
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()


def pack_tokens(tokens: Tensor, features: Features) -> list[bytes]:
    """Return the bytes of tokens ``[N, D]`` that are of the features' number format already."""
    row = tokens.contiguous().view(torch.int16) if features.dtype == "bfloat16" else tokens.contiguous()
    return [row.numpy().astype(STORED[features.dtype], copy=False).tobytes()]


def unpack_tokens(parts: Sequence[Content], features: Features) -> Tensor:
    """Return tokens ``[N, D]``, in memory of their own."""
    (part,) = parts
    flat = torch.frombuffer(bytearray(part), dtype=getattr(torch, features.dtype))
    return flat.view(-1, features.dim)


def _checksum(parts: Sequence[Content]) -> int:
    value = 0
    for part in parts:
        value = zlib.crc32(part, value)
    return value
