"""Local copies of a remote set's files, within a limit: what was used longest ago makes room."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from jepa_vl.data.shards.store import Store
from jepa_vl.errors import UserError

TOUCH_SECONDS = 30.0  # how exactly it is known when a copy was used
PART = ".part"


class Copies:
    """A folder that all processes of a machine share. A file in it is whole, and none is changed.

    Args:
        store: Where the files come from.
        folder: Where copies are kept.
        sizes: Bytes of each file.
        limit: Bytes that copies may take together; None for no limit.

    Raises:
        UserError: The limit is less than the largest file.
    """

    def __init__(
        self, store: Store, folder: Path, sizes: Mapping[str, int], *, limit: int | None = None
    ) -> None:
        largest = max(sizes.values(), default=0)
        if limit is not None and limit < largest:
            raise UserError(
                f"data.cache_limit_gib of {limit / 2**30:.4g} holds no shard of '{store.place}': the largest "
                f"has {largest / 2**30:.4g} GiB"
            )
        self.store = store
        self.folder = folder
        self.sizes = dict(sizes)
        self.limit = limit
        self._used: dict[str, float] = {}

    def get(self, name: str) -> Path:
        """Return the copy of a file, fetched if it is not there.

        Raises:
            UserError: It cannot be fetched, or the disk is full.
        """
        file = self.folder / name
        if self._is_whole(file):
            self._touch(file)
            return file
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{file}.lock"):  # whoever else wants it waits
            if not self._is_whole(file):
                self._fetch(file)
        return file

    def _is_whole(self, file: Path) -> bool:
        try:
            return file.stat().st_size == self.sizes[file.name]
        except FileNotFoundError:
            return False

    def _touch(self, file: Path) -> None:
        now = time.time()
        if now - self._used.get(file.name, 0.0) > TOUCH_SECONDS:
            self._used[file.name] = now
            with suppress(FileNotFoundError):
                os.utime(file)

    def _fetch(self, file: Path) -> None:
        part = file.with_name(file.name + PART)
        try:
            self._reserve(part, self.sizes[file.name])
            self.store.fetch(file.name, part)
            found = part.stat().st_size
            if found != self.sizes[file.name]:
                raise UserError(
                    f"'{self.store.place}/{file.name}' has {found:,} bytes, {self.sizes[file.name]:,} were "
                    "expected; prepare the data anew"
                )
            part.replace(file)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise UserError(
                f"the disk is full: '{self.folder}' keeps copies of '{self.store.place}'. Free some space, "
                "set 'cache_limit_gib' of the recipe's data, or point JEPA_VL_CACHE to a larger disk"
            ) from error
        finally:
            part.unlink(missing_ok=True)

    def _reserve(self, part: Path, size: int) -> None:
        """Make room, and take it before anybody else does: what is being fetched counts already."""
        with FileLock(self.folder / "room.lock"):
            if self.limit is not None:
                there = sorted(_files(self.folder), key=lambda found: found[1])
                total = sum(found[2] for found in there)
                for copy, _, taken in there:
                    if total + size <= self.limit:
                        break
                    if copy.suffix != PART and copy != part:
                        copy.unlink(missing_ok=True)  # who reads it keeps it until it is closed
                        total -= taken
            with part.open("wb") as opened:
                opened.truncate(size)


def _files(folder: Path) -> list[tuple[Path, float, int]]:
    """Every shard in the folder, with the time it was last used, and its size."""
    found = []
    for file in folder.iterdir():
        if file.suffix in (".bin", PART):
            with suppress(FileNotFoundError):
                stat = file.stat()
                found.append((file, stat.st_mtime, stat.st_size))
    return found
