"""`index_folder`: embeds every window of every video of a folder; goes on where it was stopped."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from jepa_vl.data.progress import track
from jepa_vl.data.video import MediaError
from jepa_vl.errors import RecipeError, UserError
from jepa_vl.use import vectors
from jepa_vl.use.gallery import About, Gallery, Media
from jepa_vl.use.identity import identity
from jepa_vl.use.model import Model
from jepa_vl.use.source import Stretch, read_frames
from jepa_vl.use.windows import find_media, windows_of


@dataclass(frozen=True)
class Indexed:
    """What was done.

    Attributes:
        added: Files that were new, or changed, and were embedded.
        removed: Files that are there no more.
        kept: Files that were embedded before and have not changed.
        windows: How many windows there are now.
        unreadable: Why files cannot be read, by path.
    """

    added: int
    removed: int
    kept: int
    windows: int
    unreadable: dict[str, str]


@dataclass
class _Rows:
    """A file on its way to the gallery."""

    media: Media
    spans: NDArray[np.float64]  # [n, 2]
    reason: str | None = None
    vectors: list[NDArray[np.float32]] = field(default_factory=list)  # each [E]

    @property
    def complete(self) -> bool:
        return self.reason is not None or len(self.vectors) == len(self.spans)


def index_folder(
    model: Model, folder: Path, output: Path, *, source: str, window: float = 4.0, stride: float = 2.0
) -> Indexed:
    """Bring an index of a folder up to date: new and changed files are embedded, missing ones forgotten.

    Args:
        model: Embeds.
        folder: Videos and images, in folders or not.
        output: Where the index is kept.
        source: Where the model was loaded from; `jepa-vl search` loads it again from there.
        window: Seconds that are embedded at once.
        stride: Seconds from the start of one window to that of the next.

    Raises:
        RecipeError: The window or the stride is not positive, or there would be gaps between windows.
        UserError: There is nothing to index, nothing that can be read, or the index was made with another
            model, folder, window or stride.
    """
    if window <= 0 or not 0 < stride <= window:
        raise RecipeError(
            f"--window {window:g} --stride {stride:g}: expected 0 < stride <= window, or parts of a video "
            "would be in no window"
        )
    vectors.load_faiss()
    media = find_media(folder)
    width = len(model.embed_text("a"))
    about = About(str(folder.resolve()), source, identity(model), window, stride, width)
    with Gallery(output, about) as gallery:
        known = gallery.known()
        gone = sorted(known.keys() - media.keys())
        for path in gone:
            gallery.remove(path)
        fresh = [found for path, found in media.items() if known.get(path) != found]
        progress = track(_embedded(model, folder, fresh, about), total=len(fresh), what="Indexing files")
        for rows in progress:
            _put(gallery, rows, width)
        count, unreadable = gallery.count(), gallery.unreadable()
        if not count:
            first = "\n  ".join(f"{path}: {reason}" for path, reason in list(unreadable.items())[:5])
            raise UserError(f"none of the {len(media)} files in {folder} can be read:\n  {first}")
        if gallery.built is None:
            _build(gallery, count)
        return Indexed(len(fresh), len(gone), len(media) - len(fresh), count, unreadable)


def _embedded(model: Model, folder: Path, media: Sequence[Media], about: About) -> Iterator[_Rows]:
    """Yield files in order as they are complete; windows of several files are embedded at once."""
    waiting: list[_Rows] = []
    pending: list[tuple[_Rows, Tensor]] = []
    for found in media:
        rows = _Rows(found, np.empty((0, 2)))
        waiting.append(rows)
        path = folder / found.path
        try:
            rows.spans = windows_of(path, window=about.window, stride=about.stride)
            for start, end in rows.spans:
                stretch = Stretch(path) if np.isnan(start) else Stretch(path, float(start), float(end))
                pending.append((rows, read_frames(stretch, model.preprocessing)))
                if len(pending) == model.batch_size:
                    _embed(model, pending)
        except MediaError as error:
            rows.reason = error.reason
        while waiting and waiting[0].complete:
            yield waiting.pop(0)
    _embed(model, pending)
    yield from waiting


def _embed(model: Model, pending: list[tuple[_Rows, Tensor]]) -> None:
    """Embed the frames that were read, and hand each vector to its file."""
    if not pending:
        return
    embeddings = model.embed_frames([frames for _, frames in pending]).numpy()  # [n, E]
    for (rows, _), vector in zip(pending, embeddings, strict=True):
        rows.vectors.append(vector)
    pending.clear()


def _put(gallery: Gallery, rows: _Rows, width: int) -> None:
    if rows.reason is not None:  # a video of which a part cannot be read is not half in the index
        gallery.put(rows.media, np.empty((0, 2)), np.empty((0, width), dtype=np.float32), rows.reason)
    else:
        gallery.put(rows.media, rows.spans, np.stack(rows.vectors))


def _build(gallery: Gallery, count: int) -> None:
    """Make the index file of what the gallery holds. The old one goes when the new one is noted."""
    index = vectors.build(gallery.vectors(), count=count, width=gallery.about.width)
    file = gallery.folder / f"{uuid.uuid4().hex}.faiss"
    vectors.write(index, file)
    gallery.set_built(file.name)
    for old in (*gallery.folder.glob("*.faiss"), *gallery.folder.glob("*.tmp")):
        if old != file:
            old.unlink()
