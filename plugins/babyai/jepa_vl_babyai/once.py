"""Make a folder of data once: complete or not there, whoever else makes it and whatever fails."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from filelock import FileLock

from jepa_vl.errors import UserError

#: Passes on an iterator of a known length, and shows how far it is.
Progress = Callable[[Iterator[None], int], Iterable[None]]


def make_once(
    folder: Path,
    *,
    what: str,
    complete: Callable[[], bool],
    write: Callable[[Path], Iterator[None]],
    total: int,
    size: int,
    progress: Progress | None = None,
) -> None:
    """Make ``folder``, unless it is complete. What is left of an interrupted run is replaced.

    Args:
        folder: Where the data will be; another process that makes the same is waited for.
        what: The data, for messages.
        complete: Whether the folder holds everything.
        write: Writes everything into the folder it is given, yielding once for each of ``total`` steps.
        total: Number of steps.
        size: Bytes needed, about.
        progress: Shows how many steps are done.

    Raises:
        UserError: The folder cannot be written, the disk is full, or a worker died; nothing is left behind.
    """
    part = folder.with_name(f"{folder.name}.part")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            if complete():
                return
            for old in (part, folder):
                shutil.rmtree(old, ignore_errors=True)
            try:
                part.mkdir()
                steps = write(part)
                for _ in steps if progress is None else progress(steps, total):
                    pass
                part.rename(folder)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise UserError(
                f"no space left while rendering {what} to '{folder}'; they need about {size / 1e6:.0f} MB "
                "(set JEPA_VL_CACHE to a folder on another disk)"
            ) from error
        raise UserError(f"cannot render {what} to '{folder}': {error}") from error
    except BrokenProcessPool as error:
        raise UserError(
            f"a process that rendered {what} died; a script that renders with several needs "
            "`if __name__ == '__main__':`, or set data.render_workers to 1"
        ) from error
