from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from jepa_vl.data import content
from jepa_vl.data.content import EMPTY, MISSING, content_hashes


def test_equal_content_has_equal_hashes_whatever_the_name_or_time(
    tmp_path: Path, media: SimpleNamespace
) -> None:
    one, two = media.image(tmp_path / "a.png", 3), media.image(tmp_path / "b" / "c.png", 3)
    other = media.image(tmp_path / "d.png", 4)
    os.utime(two, (1, 1))
    hashes = content_hashes([str(one), str(two), str(other)])
    assert hashes[str(one)] == hashes[str(two)] != hashes[str(other)]


def test_a_changed_file_of_the_same_size_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(b"before")
    before = content_hashes([str(path)])
    path.write_bytes(b"after!")
    assert content_hashes([str(path)]) != before


def test_a_changed_frame_changes_its_folder(tmp_path: Path, media: SimpleNamespace) -> None:
    folder = str(media.frames(tmp_path / "f", [1, 2, 3]))
    before = content_hashes([folder])
    media.image(tmp_path / "f" / "1.png", 9)
    changed = content_hashes([folder])
    (tmp_path / "f" / "2.png").unlink()
    assert len({h[folder] for h in (before, changed, content_hashes([folder]))}) == 3


def test_an_unchanged_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = []
    for i in range(3):
        paths.append(str(tmp_path / f"{i}.mp4"))
        Path(paths[-1]).write_bytes(bytes([i]))
    first = content_hashes(paths)

    def refuse(*args: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(content.hashlib, "file_digest", refuse)
    assert content_hashes(paths) == first


def test_a_damaged_memory_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(b"x")
    first = content_hashes([str(path)])
    for shelf in (tmp_path / "cache" / "content-hashes").iterdir():
        shelf.write_text('{"half')
    assert content_hashes([str(path)]) == first


def test_missing_empty_and_remote_media_have_hashes_too(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    found = content_hashes(
        [str(tmp_path / "none.mp4"), str(tmp_path / "empty.mp4"), "https://x/a", "https://x/b"]
    )
    assert found[str(tmp_path / "none.mp4")] == MISSING
    assert found[str(tmp_path / "empty.mp4")] == EMPTY
    assert found["https://x/a"] != found["https://x/b"]


def test_a_name_that_no_file_can_have_is_missing(tmp_path: Path) -> None:
    names = [str(tmp_path / "a\0b.mp4"), str(tmp_path / ("x" * 5000))]
    assert content_hashes(names) == dict.fromkeys(names, MISSING)
