"""Hashes of what media files hold, remembered so that an unchanged file is read once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jepa_vl.cache import cache_dir
from jepa_vl.data.progress import track
from jepa_vl.data.records import is_url
from jepa_vl.data.video import frame_files
from jepa_vl.whole_file import write_whole

MISSING = "missing"
EMPTY = hashlib.blake2b(digest_size=16).hexdigest()  # what a file of zero bytes hashes to
Memory = dict[str, tuple[int, int, str]]  # path → size, modification time in ns, hash


def content_hashes(media: Iterable[str]) -> dict[str, str]:
    """Return a hash of the content of each file or folder of frames.

    Size and modification time are not content: they only tell whether a hash from an earlier call still
    holds. Missing media hash to ``MISSING``, a URL to the hash of its text.
    """
    wanted = sorted(set(media))
    shelf = cache_dir("content-hashes") / f"{_digest(_common_folder(wanted).encode())}.json"
    memory = _load(shelf)
    fresh: Memory = {}
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        hashes = pool.map(lambda path: _hash(path, memory, fresh), wanted)
        found = dict(zip(wanted, track(hashes, total=len(wanted), what="Hashing media"), strict=True))
    if fresh:
        _save(shelf, {**memory, **fresh})
    return found


def _hash(path: str, memory: Memory, fresh: Memory) -> str:
    if is_url(path):
        return _digest(path.encode())
    file = Path(path)
    try:
        if not file.is_dir():
            return _file_hash(file, memory, fresh)
        parts = [f"{frame.name} {_file_hash(frame, memory, fresh)}" for frame in frame_files(file)]
    except (OSError, ValueError):  # the latter of a name that no file can have
        return MISSING  # said properly, with the sample's name, when the media is read
    return _digest("\n".join(parts).encode())


def _file_hash(file: Path, memory: Memory, fresh: Memory) -> str:
    stat = file.stat()
    known = memory.get(str(file))
    if known is not None and (known[0], known[1]) == (stat.st_size, stat.st_mtime_ns):
        return known[2]
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, _blake).hexdigest()
    fresh[str(file)] = (stat.st_size, stat.st_mtime_ns, digest)
    return digest


def _blake() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)


def _digest(data: bytes) -> str:
    digest = _blake()
    digest.update(data)
    return digest.hexdigest()


def _common_folder(paths: list[str]) -> str:
    local = [str(Path(path).absolute()) for path in paths if not is_url(path)]
    return os.path.commonpath(local) if local else ""


def _load(shelf: Path) -> Memory:
    try:
        return {
            path: (size, time, digest) for path, (size, time, digest) in json.loads(shelf.read_text()).items()
        }
    except (OSError, ValueError):  # there is none yet, or it was not written to its end: hash anew
        return {}


def _save(shelf: Path, memory: Memory) -> None:
    write_whole(shelf, json.dumps(memory))
