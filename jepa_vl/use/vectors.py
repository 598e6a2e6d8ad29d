"""The faiss index of a gallery: every vector is compared, in float32 or, for a large gallery, in float16."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jepa_vl.errors import UserError

#: Above it vectors are kept in float16: half the memory. See benchmarks/search_speed.py for what it costs.
LARGE = 200_000


def load_faiss() -> Any:
    """Import faiss, which is an optional dependency.

    Raises:
        UserError: It is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise UserError(
            "searching needs faiss, which is not installed: pip install 'jepa-vl[search]'"
        ) from error
    return faiss


def build(vectors: Iterable[NDArray[np.float32]], *, count: int, width: int) -> Any:
    """Return an index of ``count`` unit vectors, given in blocks ``[n, E]``; row i is the i-th vector.

    The search is exhaustive: there are no lists that a text, which lies apart from the videos of the
    shared space, could be looked up in wrongly.
    """
    faiss = load_faiss()
    if count <= LARGE:
        index = faiss.IndexFlatIP(width)
    else:
        kind = faiss.ScalarQuantizer.QT_fp16
        index = faiss.IndexScalarQuantizer(width, kind, faiss.METRIC_INNER_PRODUCT)
    for block in vectors:
        index.add(np.ascontiguousarray(block, dtype=np.float32))
    return index


def write(index: Any, file: Path) -> None:
    """Write an index; the file appears whole or not at all."""
    unfinished = file.with_suffix(".tmp")
    load_faiss().write_index(index, str(unfinished))
    unfinished.replace(file)


def read(file: Path) -> Any:
    """Read what `write` wrote.

    Raises:
        UserError: The file is damaged.
    """
    faiss = load_faiss()
    try:
        return faiss.read_index(str(file))
    except RuntimeError as error:
        raise UserError(
            f"{file} is damaged ({str(error).splitlines()[-1]}); run `jepa-vl index` again"
        ) from error
