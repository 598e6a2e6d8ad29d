from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jepa_vl.data.shards.copies import Copies
from jepa_vl.data.shards.store import FolderStore
from jepa_vl.errors import UserError

SIZE = 1000
NAMES = [f"chunk-0-{i}.bin" for i in range(6)]


class Counted(FolderStore):
    """A folder that notes what is fetched from it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.fetched: list[str] = []

    def fetch(self, name: str, target: Path) -> None:
        self.fetched.append(name)
        super().fetch(name, target)


@pytest.fixture
def store(tmp_path: Path) -> Counted:
    folder = tmp_path / "far"
    folder.mkdir()
    for i, name in enumerate(NAMES):
        (folder / name).write_bytes(bytes([i]) * SIZE)
    return Counted(folder)


def near(store: Counted, tmp_path: Path, limit: int | None = None) -> Copies:
    return Copies(store, tmp_path / "near", dict.fromkeys(NAMES, SIZE), limit=limit)


def there(tmp_path: Path) -> list[str]:
    return sorted(f.name for f in (tmp_path / "near").iterdir() if f.suffix != ".lock")


def test_a_file_is_fetched_once_by_all(store: Counted, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        files = list(pool.map(lambda _: near(store, tmp_path).get(NAMES[2]), range(24)))
    assert store.fetched == [NAMES[2]]
    assert {file.read_bytes() for file in files} == {bytes([2]) * SIZE}


def test_what_was_used_longest_ago_makes_room(store: Counted, tmp_path: Path) -> None:
    copies = near(store, tmp_path, 3 * SIZE)
    for age, name in zip((300, 200, 100), NAMES[:3], strict=True):
        past = copies.get(name).stat().st_mtime - age
        os.utime(copies.folder / name, (past, past))
    near(store, tmp_path).get(NAMES[0])  # another process uses the oldest
    copies.get(NAMES[3])
    assert there(tmp_path) == [NAMES[0], NAMES[2], NAMES[3]]


def test_a_reader_keeps_what_is_removed_under_it(store: Counted, tmp_path: Path) -> None:
    copies = near(store, tmp_path, SIZE)
    with copies.get(NAMES[0]).open("rb") as opened:
        copies.get(NAMES[1])
        assert there(tmp_path) == [NAMES[1]]
        assert opened.read() == bytes([0]) * SIZE


def test_what_is_being_fetched_counts(store: Counted, tmp_path: Path) -> None:
    copies = near(store, tmp_path, 2 * SIZE)
    copies.get(NAMES[0])
    (copies.folder / f"{NAMES[1]}.part").write_bytes(bytes(SIZE))  # by another process
    copies.get(NAMES[2])
    assert there(tmp_path) == [f"{NAMES[1]}.part", NAMES[2]]


def test_a_copy_that_a_kill_cut_off_is_fetched_again(store: Counted, tmp_path: Path) -> None:
    copies = near(store, tmp_path)
    copies.get(NAMES[0]).write_bytes(b"half")
    assert copies.get(NAMES[0]).read_bytes() == bytes([0]) * SIZE


def test_many_at_once_stay_within_the_limit(store: Counted, tmp_path: Path) -> None:
    def use(i: int) -> bytes:
        return near(store, tmp_path, 4 * SIZE).get(NAMES[i % 6]).open("rb").read()

    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(use, i) for i in range(60)]
    for i, future in enumerate(futures):
        try:
            assert future.result() == bytes([i % 6]) * SIZE
        except FileNotFoundError:  # removed between two steps: who reads asks again
            continue
    assert len(there(tmp_path)) <= 4


def test_a_limit_below_one_file_is_refused(store: Counted, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.cache_limit_gib of .* holds no shard of '.*far'"):
        near(store, tmp_path, SIZE - 1)
