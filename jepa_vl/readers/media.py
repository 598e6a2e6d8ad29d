"""Media in a folder, found by name whatever the container: ``abc.mp4`` is ``abc.webm`` in another copy."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from jepa_vl.data.video import IMAGE_SUFFIXES

VIDEO_SUFFIXES = frozenset({".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".flv", ".3gp"})
_ALIKE = (VIDEO_SUFFIXES, IMAGE_SUFFIXES)


class MediaFolder:
    """The files below a folder; each of its folders is listed once.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listed: dict[str, dict[str, str]] = {}

    def find(self, media: str) -> str | None:
        """Return the path, relative to the folder, of a file or folder of this name, or None.

        A file of the same name with another suffix of the same kind (video, or image; upper or lower case)
        will do.
        """
        path = PurePosixPath(media)
        found = self._list(str(path.parent))
        name = found.get(path.name) or next(
            (found[other] for other in self._other_names(path) if other in found), None
        )
        return None if name is None else str(path.parent / name)

    def _list(self, folder: str) -> dict[str, str]:
        if folder not in self._listed:
            listed: dict[str, str] = {}
            here = self.root / folder
            # names alone: a folder may hold a million files
            for entry in sorted(os.listdir(here)) if here.is_dir() else ():  # noqa: PTH208
                listed[entry] = entry
                listed.setdefault(_lower_suffix(entry), entry)
            self._listed[folder] = listed
        return self._listed[folder]

    @staticmethod
    def _other_names(path: PurePosixPath) -> list[str]:
        suffix = path.suffix.lower()
        kind = next((k for k in _ALIKE if suffix in k), frozenset())
        return [path.stem + other for other in (suffix, *sorted(kind))]


def _lower_suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}{dot}{suffix.lower()}"
