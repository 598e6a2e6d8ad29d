"""Where reusable files live: converted weights, rendered data and frozen features."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir(*parts: str) -> Path:
    """Return (and make) a folder of the user's cache.

    The root is ``$JEPA_VL_CACHE``, else ``$XDG_CACHE_HOME/jepa-vl``, else ``~/.cache/jepa-vl``.
    """
    root = os.environ.get("JEPA_VL_CACHE")
    if root is None:
        root = str(Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "jepa-vl")
    path = Path(root).joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path
