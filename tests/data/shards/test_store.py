from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from jepa_vl.data.shards.store import FolderStore, open_store
from jepa_vl.errors import UserError


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path / "new" / "set")
    store.write("a/b.json", b"one")
    assert (store.read("a/b.json"), store.read("a/c.json"), store.read("x/y")) == (b"one", None, None)

    def stop(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            store.write("a/b.json", b"two")
    assert store.read("a/b.json") == b"one"
    assert store.names() == {"a/b.json"}


def test_what_killed_processes_left_is_no_file_and_is_swept_away(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.write("kept", b"x")
    (tmp_path / ".scratch-host-1-abc").mkdir()
    (tmp_path / ".scratch-host-1-abc" / "file").write_bytes(b"half")
    assert store.names() == {"kept"}
    store.sweep()
    assert [f.name for f in tmp_path.iterdir()] == ["kept"]


def test_removing_the_last_file_removes_its_folder(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.write("notes/1", b"")
    store.write("notes/2", b"")
    store.remove("notes/1")
    assert (tmp_path / "notes").is_dir()
    store.remove("notes/2")
    store.remove("notes/2")
    assert not (tmp_path / "notes").exists()


def test_a_place_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"'.*file/set' cannot be written"):
        open_store(tmp_path / "file" / "set").write("a", b"")
    with pytest.raises(UserError, match="there is no 'a' in it"):
        open_store(tmp_path / "nothing").fetch("a", tmp_path / "b")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_folder_of_a_read_only_disk_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(path: Path, *args: object, **options: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match=f"'.*set' cannot be written: {os.strerror(number)}"):
        open_store(tmp_path / "set").write("a", b"")
