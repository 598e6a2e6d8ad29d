"""Tokens of a frozen encoder, computed once for each distinct clip and kept in one file."""

from __future__ import annotations

import hashlib
import json
import warnings
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jepa_vl.cache import cache_dir
from jepa_vl.errors import UserError

FORMAT = 1
STORED = {"float32": np.float32, "float16": np.float16, "bfloat16": np.int16}  # numpy has no bfloat16


class NotFiniteError(UserError):
    """Tokens that hold NaN or infinity."""


@dataclass(frozen=True)
class Layout:
    """What the index says of the tokens file.

    Attributes:
        shape: (N, D) of one clip's tokens.
        dtype: ``float32``, ``float16`` or ``bfloat16``.
        rows: Digest of each clip, in the order of the file.
        checks: CRC-32 of each row.
        bad: Why clips could not be read, by digest; they have no row.
    """

    shape: tuple[int, int]
    dtype: str
    rows: list[str]
    checks: list[int]
    bad: dict[str, str]

    @property
    def row_bytes(self) -> int:
        """Bytes of one clip's tokens."""
        return self.shape[0] * self.shape[1] * np.dtype(STORED[self.dtype]).itemsize


class FeatureCache:
    """Tokens by clip, in a memory-mapped file. Cheap to pickle: a data worker maps the file itself.

    Each row is checked when a process reads it for the first time, so that a damaged file is noticed.
    """

    def __init__(self, folder: Path, layout: Layout) -> None:
        self.folder = folder
        self.layout = layout
        self._row = {digest: i for i, digest in enumerate(layout.rows)}
        self._map: np.ndarray[Any, Any] | None = None
        self._checked = np.zeros(len(layout.rows), dtype=bool)

    @property
    def bad(self) -> dict[str, str]:
        """Why clips have no tokens, by digest."""
        return self.layout.bad

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_map": None}

    def tokens(self, digest: str, *, owner: str) -> Tensor:
        """Return a clip's tokens ``[N, D]`` in the cache's dtype; ``owner`` is named in errors.

        Raises:
            UserError: The row is damaged, or not finite.
        """
        if self._map is None:
            stored = STORED[self.layout.dtype]
            self._map = np.memmap(
                self.folder / "tokens.bin",
                dtype=stored,
                mode="r",
                shape=(len(self.layout.rows), *self.layout.shape),
            )
        at = self._row[digest]
        row = np.array(self._map[at])  # [N, D], a copy that outlives the map
        tokens = torch.from_numpy(row)
        if self.layout.dtype == "bfloat16":
            tokens = tokens.view(torch.bfloat16)
        if not self._checked[at]:
            if not tokens.isfinite().all():
                raise NotFiniteError(f"{owner}: NaN or infinity in its cached features; {self._remedy}")
            if zlib.crc32(row.tobytes()) != self.layout.checks[at]:
                raise UserError(f"{owner}: its cached features are damaged; {self._remedy}")
            self._checked[at] = True
        return tokens

    @property
    def _remedy(self) -> str:
        return f"delete the folder '{self.folder}' and run again to have them computed anew"


def cache_key(digests: Iterable[str], *parts: object) -> str:
    """Hash what cached tokens depend on: the clips, and whatever else is given."""
    text = "\n".join([f"format {FORMAT}", *(repr(part) for part in parts), *sorted(set(digests))])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def features_folder(key: str) -> Path:
    """Where the tokens of a key are."""
    return cache_dir("features") / key


def open_cache(key: str) -> FeatureCache | None:
    """Open a finished cache; None, with a warning where there is an unusable one, if it must be made."""
    folder = features_folder(key)
    if not folder.exists():
        return None
    try:
        content = json.loads((folder / "index.json").read_text())
        layout = Layout(**{**content, "shape": tuple(content["shape"])})
        found, expected = (folder / "tokens.bin").stat().st_size, len(layout.rows) * layout.row_bytes
        if found == expected and len(layout.checks) == len(layout.rows):
            return FeatureCache(folder, layout)
        reason = f"it holds {found} bytes, {expected} were expected"
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = f"its index cannot be read ({error})"
    warnings.warn(f"the feature cache '{folder}' is incomplete: {reason}; it is made anew", stacklevel=2)
    return None
