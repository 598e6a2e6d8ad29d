from __future__ import annotations

from pathlib import Path

import pytest

from jepa_vl.whole_file import replacing, write_whole


def half_of_it(part: Path) -> None:
    part.write_text("ha")
    raise OSError("full")


def test_a_text_is_written_into_a_new_folder_and_over_an_older_one(tmp_path: Path) -> None:
    file = tmp_path / "new" / "file.json"
    for text in ("an older one", "größer"):
        write_whole(file, text)
    assert file.read_bytes() == "größer".encode()
    assert list(file.parent.iterdir()) == [file]


def test_the_older_file_stays_until_the_new_one_is_whole_and_when_writing_it_fails(tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    write_whole(file, "older")
    with replacing(file) as part:
        part.write_text("new")
        assert file.read_text() == "older"
    with pytest.raises(OSError, match="full"), replacing(file) as part:
        half_of_it(part)
    assert file.read_text() == "new"
    assert list(tmp_path.iterdir()) == [file]


def test_of_two_that_write_at_once_both_end_and_the_last_ones_file_stays(tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    with replacing(file) as one, replacing(file) as other:
        one.write_text("one")
        other.write_text("other")
    assert file.read_text() == "one"
    assert list(tmp_path.iterdir()) == [file]
