"""Making a feature cache: decode each clip once, encode it, write its tokens to a file."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from jepa_vl.data.clips import Clip
from jepa_vl.data.feature_cache import (
    STORED,
    FeatureCache,
    Layout,
    NotFiniteError,
    features_folder,
    open_cache,
)
from jepa_vl.data.reading import Read, read_clips
from jepa_vl.data.records import SHOWN
from jepa_vl.data.video import MediaError
from jepa_vl.errors import UserError
from jepa_vl.vision.base import VisionEncoder

ABANDONED_SECONDS = 3600.0  # an unfinished cache that nobody wrote to for so long is left over from a kill


def build_cache(
    key: str,
    clips: Sequence[Clip],
    encoder: VisionEncoder,
    *,
    what: str,
    dtype: str,
    device: torch.device,
    single_frame: bool = False,
    num_workers: int = 0,
    max_bad: int = 0,
) -> FeatureCache:
    """Encode distinct clips and keep the tokens under ``key``.

    The files are written under another name and get their own when they are whole, so that a run that is
    killed leaves nothing that looks finished.

    Args:
        key: Name of the cache.
        clips: Clips of distinct digests.
        encoder: A frozen encoder; it is back on its device afterwards.
        what: Said in the progress.
        dtype: ``float32``, ``float16`` or ``bfloat16``.
        device: Where to encode.
        single_frame: Whether every frame is the clip's middle one.
        num_workers: Decoding processes.
        max_bad: How many clips may be unreadable.

    Raises:
        UserError: Too many clips cannot be read, tokens are not finite, or the disk is full.
    """
    target = features_folder(key)
    _sweep(target)
    unfinished = target.with_name(f"{key}.tmp-{socket.gethostname()}-{os.getpid()}")
    layout = Layout(shape=_token_shape(encoder), dtype=dtype, rows=[], checks=[], bad={})
    needed = len(clips) * layout.row_bytes
    try:
        unfinished.mkdir(exist_ok=True)
        if shutil.disk_usage(unfinished).free < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        batches = read_clips(
            clips,
            encoder.preprocessing,
            what=what,
            single_frame=single_frame,
            num_workers=num_workers,
            max_bad=max_bad,
        )
        with (unfinished / "tokens.bin").open("wb") as file:
            for several in _encode(encoder, batches, layout, device):
                file.write(several)
            file.flush()
            os.fsync(file.fileno())
        (unfinished / "index.json").write_text(json.dumps(asdict(layout)))
        if open_cache(key) is None:  # else another run was quicker
            shutil.rmtree(target, ignore_errors=True)
            unfinished.replace(target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full(target.parent, needed) from error
        raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    cache = open_cache(key)
    assert cache is not None
    return cache


def _encode(
    encoder: VisionEncoder, batches: Iterable[list[Read]], layout: Layout, device: torch.device
) -> Iterator[bytes]:
    """Yield the bytes of several rows at a time, and enter them in the layout."""
    home = next((p.device for p in encoder.parameters()), torch.device("cpu"))
    encoder.to(device).eval()
    try:
        for several in batches:
            layout.bad.update({clip.digest: c.reason for clip, c in several if isinstance(c, MediaError)})
            good = [(clip, content) for clip, content in several if isinstance(content, Tensor)]
            if not good:
                continue
            video = torch.stack([content for _, content in good]).to(device)  # [b, T, C, H, W]
            with torch.inference_mode():
                tokens = encoder(video).to("cpu", getattr(torch, layout.dtype))  # [b, N, D]
            finite = tokens.isfinite().flatten(1).all(1).tolist()
            if not all(finite):
                raise not_finite(
                    [clip for (clip, _), ok in zip(good, finite, strict=True) if not ok], layout.dtype
                )
            for (clip, _), row in zip(good, tokens, strict=True):
                stored = row.contiguous().view(torch.int16) if layout.dtype == "bfloat16" else row
                data = stored.numpy().astype(STORED[layout.dtype], copy=False).tobytes()
                layout.rows.append(clip.digest)
                layout.checks.append(zlib.crc32(data))
                yield data
    finally:
        encoder.to(home)


def _token_shape(encoder: VisionEncoder) -> tuple[int, int]:
    time_, height, width = encoder.grid
    return time_ * height * width, encoder.dim


def not_finite(clips: Sequence[Clip], dtype: str) -> NotFiniteError:
    """Return the error of clips of which an encoder gives tokens that are not finite."""
    named = ", ".join(clip.owner for clip in clips[:SHOWN]) + (", …" if len(clips) > SHOWN else "")
    wider = "; 'cache_dtype: float32' of the recipe's data (prepare: --dtype float32) has more range"
    advice = wider if dtype == "float16" else ""
    return NotFiniteError(f"the vision encoder gives NaN or infinity ({dtype}) for {named}{advice}")


def _disk_full(folder: Path, needed: int) -> UserError:
    free = shutil.disk_usage(folder).free
    return UserError(
        f"no room for the feature cache: it takes {needed / 2**20:,.0f} MiB, '{folder}' has "
        f"{free / 2**20:,.0f} MiB left. Free some, point the environment variable JEPA_VL_CACHE to a "
        "folder on a larger disk, or set 'cache_dtype: float16' or 'cache_features: false' in the recipe"
    )


def _sweep(target: Path) -> None:
    """Remove what killed runs left of this cache; a run that still writes to its own is left alone."""
    for left in target.parent.glob(f"{target.name}.tmp-*"):
        newest = max((f.stat().st_mtime for f in left.glob("*")), default=left.stat().st_mtime)
        if time.time() - newest > ABANDONED_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
