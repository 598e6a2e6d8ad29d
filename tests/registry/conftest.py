"""Real distributions: wheels made on the spot and installed by pip into a folder of the test."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """``install(name, {module: source}, {entry-point group: {name: target}})`` → the folder it is in."""

    def run(
        name: str,
        modules: dict[str, str],
        points: dict[str, dict[str, str]],
        *,
        version: str = "1.0",
        folder: str = "site",
    ) -> Path:
        wheel = tmp_path / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        info = f"{name.replace('-', '_')}-{version}.dist-info"
        sections = (
            f"[{group}]\n" + "".join(f"{n} = {t}\n" for n, t in names.items())
            for group, names in points.items()
        )
        files = {f"{module}.py": source for module, source in modules.items()} | {
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/entry_points.txt": "\n".join(sections),
        }
        record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
        with zipfile.ZipFile(wheel, "w") as archive:
            for file, text in (files | {f"{info}/RECORD": record}).items():
                archive.writestr(file, text)
        target = tmp_path / folder
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
        subprocess.run([*pip, "--target", str(target), str(wheel)], check=True, capture_output=True)
        if str(target) not in sys.path:
            monkeypatch.syspath_prepend(target)
        for module in modules:
            monkeypatch.delitem(sys.modules, module, raising=False)
        return target

    return run
