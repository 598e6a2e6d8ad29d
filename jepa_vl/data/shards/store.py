"""Where a prepared set lies: a folder, or a prefix of a bucket. A file is there whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jepa_vl.errors import UserError, is_no_place

SCRATCH = ".scratch-"


class Store(ABC):
    """Files by name; a name may have folders in it.

    Attributes:
        place: What the user called it, for messages.
        local: The folder that the files can be read from in place; None where they must be fetched.
    """

    place: str
    local: Path | None = None

    @abstractmethod
    def names(self) -> set[str]:
        """Return the name of every file."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """Return what a file holds; None where there is none."""

    @abstractmethod
    def put(self, file: Path, name: str) -> None:
        """Move a file of `scratch` to its name.

        Raises:
            UserError: There is no room, or the store cannot be reached or written.
        """

    @abstractmethod
    def fetch(self, name: str, target: Path) -> None:
        """Copy a file to a local one.

        Raises:
            UserError: It is not there, or the store cannot be reached.
            OSError: The local file cannot be written.
        """

    @abstractmethod
    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""

    @abstractmethod
    def scratch(self) -> Any:
        """Return a context with a local folder, from which files are put."""

    @abstractmethod
    def sweep(self) -> None:
        """Remove what killed processes left. Only where no other one writes."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file.

        Raises:
            UserError: There is no room, or the store cannot be reached or written.
        """
        with self.scratch() as folder:
            file = folder / "file"
            with _full_disk_said(self.place):
                file.write_bytes(data)
            self.put(file, name)


class FolderStore(Store):
    """Files of a folder, which is made when something is written."""

    def __init__(self, folder: Path) -> None:
        self.place = str(folder)
        self.local = folder

    def names(self) -> set[str]:
        """Return the name of every file."""
        assert self.local is not None
        found = (f.relative_to(self.local) for f in self.local.rglob("*") if f.is_file())
        return {f.as_posix() for f in found if not f.parts[0].startswith(SCRATCH)}

    def read(self, name: str) -> bytes | None:
        """Return what a file holds; None where there is none."""
        assert self.local is not None
        try:
            return (self.local / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def put(self, file: Path, name: str) -> None:
        """Move a file to its name, after it is on the disk for good."""
        assert self.local is not None
        target = self.local / name
        with _full_disk_said(self.place):
            with file.open("rb") as written:
                os.fsync(written.fileno())
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)

    def fetch(self, name: str, target: Path) -> None:
        """Copy a file to another one."""
        assert self.local is not None
        try:
            shutil.copyfile(self.local / name, target)
        except FileNotFoundError:
            raise UserError(f"'{self.place}': there is no '{name}' in it") from None

    def remove(self, name: str) -> None:
        """Delete a file, and its folder with the last one."""
        assert self.local is not None
        file = self.local / name
        file.unlink(missing_ok=True)
        if file.parent != self.local and file.parent.is_dir() and not any(file.parent.iterdir()):
            file.parent.rmdir()

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a folder on the same disk, so that moving a file is one step."""
        assert self.local is not None
        with _full_disk_said(self.place):
            self.local.mkdir(parents=True, exist_ok=True)
            prefix = f"{SCRATCH}{socket.gethostname()}-{os.getpid()}-"
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=self.local))
        try:
            with _full_disk_said(self.place):
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what killed processes left."""
        assert self.local is not None
        for left in self.local.glob(f"{SCRATCH}*"):
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _full_disk_said(place: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"the disk of '{place}' is full; free some space and run the same command again: "
                "what is done is kept"
            ) from error
        if is_no_place(error):
            raise UserError(f"'{place}' cannot be written: {error.strerror}") from error
        raise


def open_store(place: str | Path, options: Mapping[str, Any] | None = None) -> Store:
    """Return the store of a folder or of ``s3://bucket/prefix``.

    Args:
        place: A folder, or a URL.
        options: What boto3's client is given besides the environment, such as ``endpoint_url``.

    Raises:
        UserError: The URL is of another kind.
    """
    text = str(place)
    if text.startswith("s3://"):
        from jepa_vl.data.shards.bucket import BucketStore

        return BucketStore(text, options or {})
    if "://" in text:
        raise UserError(f"'{text}' is no place for prepared data; expected a folder, or s3://bucket/prefix")
    return FolderStore(Path(text).expanduser())
