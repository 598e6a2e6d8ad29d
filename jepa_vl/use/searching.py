"""`Searcher`: the windows of an index that a text describes best, each stretch of a video once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jepa_vl.errors import UserError
from jepa_vl.use import vectors
from jepa_vl.use.gallery import Gallery, Span
from jepa_vl.use.identity import identity
from jepa_vl.use.model import Model


class Hit(NamedTuple):
    """A stretch of a file that was found.

    Attributes:
        file: Its path.
        start: Seconds; None for an image.
        end: Seconds; None for an image.
        score: Cosine similarity of the window and the text.
    """

    file: str
    start: float | None
    end: float | None
    score: float


class Searcher:
    """An index in memory, open for questions.

    Args:
        folder: What `index_folder` wrote.

    Raises:
        UserError: There is no index, it is not finished, or it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.gallery = Gallery(folder)
        name = self.gallery.built
        if name is None:
            raise UserError(
                f"the index in {folder} is not finished; run the same `jepa-vl index` command again"
            )
        self.index: Any = vectors.read(folder / name)

    def check(self, model: Model) -> None:
        """Refuse another model than the index was made with.

        Raises:
            UserError: It is another one.
        """
        about = self.gallery.about
        found = identity(model)
        if found != about.identity:
            raise UserError(
                f"the index in {self.gallery.folder} was made with another model: {about.model} "
                f"({about.identity[:12]}), not this one ({found[:12]}); search with the same, or index again"
            )

    def find(self, embedding: NDArray[np.float32], *, top: int = 10) -> list[Hit]:
        """Return the best hits for the unit vector ``[E]`` of a text, the best first.

        Of windows of one file that overlap, the best alone is a hit.
        """
        taken: dict[str, list[Span]] = defaultdict(list)
        hits: list[Hit] = []
        for row, score in self._ranked(embedding, top):
            span = self.gallery.span(row)
            if any(_overlap(span, other) for other in taken[span.path]):
                continue
            taken[span.path].append(span)
            hits.append(Hit(str(Path(self.gallery.about.folder) / span.path), span.start, span.end, score))
            if len(hits) == top:
                break
        return hits

    def _ranked(self, embedding: NDArray[np.float32], top: int) -> Iterator[tuple[int, float]]:
        """Yield rows and scores, best first; more are asked for only when the first were not enough."""
        total, done, asked = self.index.ntotal, 0, 4 * top
        while done < total:
            asked = min(asked, total)
            scores, rows = self.index.search(embedding[None], asked)  # [1, asked]
            yield from zip(rows[0, done:].tolist(), scores[0, done:].tolist(), strict=True)
            done, asked = asked, 8 * asked


def _overlap(a: Span, b: Span) -> bool:
    if a.start is None or a.end is None or b.start is None or b.end is None:
        return True
    return a.start < b.end - 1e-6 and b.start < a.end - 1e-6
