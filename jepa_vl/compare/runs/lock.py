"""A lock file: of several processes on a shared folder, one does a run."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

TOUCHED_EVERY, STALE_AFTER = 30.0, 600.0  # seconds


@dataclass(frozen=True)
class Holder:
    """Who has a lock.

    Attributes:
        host: Name of the machine.
        pid: Process on it.
        age: Seconds since the process last said that it is alive.
    """

    host: str
    pid: int
    age: float

    @property
    def stale(self) -> bool:
        """Whether it is gone: dead on this machine, or silent for ten minutes anywhere."""
        return self.age > STALE_AFTER or (self.host == socket.gethostname() and not _alive(self.pid))

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class HeldError(Exception):
    """Another process has the lock.

    Args:
        holder: Which.
    """

    def __init__(self, holder: Holder) -> None:
        super().__init__(f"{holder} is at it")
        self.holder = holder


def lock_file(folder: Path) -> Path:
    """Where the lock of a run's folder is: beside it, as the folder itself may be renamed."""
    return folder.with_name(folder.name + ".lock")


def holder_of(path: Path) -> Holder | None:
    """Return who has a lock, dead or alive; None where nobody has."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        age = time.time() - path.stat().st_mtime
        return Holder(str(written["host"]), int(written["pid"]), age)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):  # it is being written, or its writer died over it
        with suppress(FileNotFoundError):
            return Holder("an unknown host", 0, time.time() - path.stat().st_mtime)
        return None


def at_it(folder: Path) -> Holder | None:
    """Return the living process that has the lock of a run's folder; None where it is free."""
    holder = holder_of(lock_file(folder))
    return None if holder is None or holder.stale else holder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock, and say now and then that this process is alive.

    A lock of a process that is gone is taken over, with a message.

    Raises:
        HeldError: Another process has it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = holder_of(path)
    if holder is not None and holder.stale:
        _clear(path)
    if not _create(path):
        raise HeldError(holder_of(path) or Holder("an unknown host", 0, 0.0))
    done = threading.Event()
    beat = threading.Thread(target=_touch, args=(path, done), daemon=True)
    beat.start()
    try:
        yield
    finally:
        done.set()
        beat.join()
        path.unlink(missing_ok=True)


def _clear(path: Path) -> None:
    """Remove a stale lock; of several processes that find it, one does."""
    taking = path.with_suffix(".taking")
    with suppress(FileNotFoundError):
        if time.time() - taking.stat().st_mtime > TOUCHED_EVERY:
            taking.unlink()  # whoever was here died in these three lines
    if not _create(taking):
        return
    try:
        holder = holder_of(path)
        if holder is not None and holder.stale:
            log.warning("%s: %s is gone; its lock is taken over", path, holder)
            path.unlink(missing_ok=True)
    finally:
        taking.unlink(missing_ok=True)


def _create(path: Path) -> bool:
    try:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    with os.fdopen(file, "w", encoding="utf-8") as stream:
        json.dump({"host": socket.gethostname(), "pid": os.getpid()}, stream)
    return True


def _touch(path: Path, done: threading.Event) -> None:
    while not done.wait(TOUCHED_EVERY):
        with suppress(OSError):
            path.touch()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
