from __future__ import annotations

import json
from pathlib import Path

import pytest

from jepa_vl.data import records
from jepa_vl.data.records import missing_file, read_manifest, read_records, write_manifest
from jepa_vl.errors import ManifestError
from jepa_vl.sample import Sample

GOOD = {"id": "a", "media": "a.mp4", "target": "a cat"}


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def error_of(path: Path) -> str:
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    return str(caught.value)


def test_what_is_written_is_read_back_equal(tmp_path: Path) -> None:
    samples = [
        Sample(id="a", media="a.mp4", target="ein Käfer\u2028auf zwei Zeilen", start=1.5, end=2.0, label="x"),
        Sample(id="b", media="b", query="which?", target="red", candidates=("red", "blue"), split="val"),
    ]
    write_manifest(tmp_path / "new" / "m.jsonl", samples)
    assert read_manifest(tmp_path / "new" / "m.jsonl") == samples
    assert [f.name for f in (tmp_path / "new").iterdir()] == ["m.jsonl"], "a temporary file is left"


def test_interrupted_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    write_manifest(path, [Sample(**GOOD)])

    def stop():
        yield Sample(**{**GOOD, "id": "b"})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_manifest(path, stop())
    assert [s.id for s in read_manifest(path)] == ["a"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"id": "b", ', ["not JSON"]),
        ({**GOOD, "id": "b", "taget": "x"}, ["unknown field 'taget'", "'target'"]),
        ({"id": "b", "media": "b.mp4"}, ["field 'target' is missing"]),
        ({**GOOD, "id": "b", "target": ""}, ["target is blank"]),
        ({**GOOD, "id": "b", "target": "  "}, ["target is blank"]),
        ({**GOOD, "id": "b", "start": "soon"}, ["field 'start'", "found 'soon'", "number"]),
        ({**GOOD, "id": "b", "start": 3, "end": 2}, ["end (2.0) must lie after start (3.0)"]),
        ({**GOOD, "id": "b", "candidates": ["x", "y"]}, ["answer 'a cat' is not among candidates"]),
        (GOOD, ["field 'id'", "'a' stands in line 1 already"]),
    ],
)
def test_a_broken_line_is_named_with_field_and_expectation(
    tmp_path: Path, line: object, said: list[str]
) -> None:
    message = error_of(write(tmp_path / "m.jsonl", GOOD, "", line))
    for part in [str(tmp_path / "m.jsonl"), "line 3", *said]:
        assert part in message
    assert "pydantic" not in message
    assert "Traceback" not in message


QUESTION = {**GOOD, "target": "red", "query": "which?"}


def asked(name: str, *candidates: str) -> Sample:
    return Sample.model_validate({**QUESTION, "id": name, "candidates": candidates})


def test_a_list_that_samples_share_is_written_once_and_held_once(tmp_path: Path) -> None:
    colours = ("red", "dark blue", "grün")
    samples = [asked(str(i), *colours) for i in range(3)]
    samples += [asked("own", "red", "no"), Sample.model_validate(GOOD)]
    write_manifest(tmp_path / "m.jsonl", samples, share_candidates=True)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["m.jsonl", "m.jsonl.candidates.txt"]
    assert (tmp_path / "m.jsonl").read_text().count("dark blue") == 0
    found = read_manifest(tmp_path / "m.jsonl")
    assert found == samples
    assert found[0].candidates is found[1].candidates is found[2].candidates


def test_equal_lists_in_the_lines_are_held_once(tmp_path: Path) -> None:
    samples = [asked(str(i), "red", "blue") for i in range(2)]
    write_manifest(tmp_path / "m.jsonl", samples)
    found = read_manifest(tmp_path / "m.jsonl")
    assert found[0].candidates is found[1].candidates


@pytest.mark.parametrize("text", ["two\nlines", " space", "", "ret\rurn"])
def test_a_list_that_a_text_file_would_change_stays_in_its_lines(tmp_path: Path, text: str) -> None:
    samples = [asked("q", "red", text)]
    write_manifest(tmp_path / "m.jsonl", samples, share_candidates=True)
    assert read_manifest(tmp_path / "m.jsonl") == samples
    assert [f.name for f in tmp_path.iterdir()] == ["m.jsonl"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, ["cannot read", "colours.txt' (No such file", "one a line"]),
        (b"\xff\xfe", ["it is not UTF-8"]),
        (b"\n\n", ["holds no text"]),
        (b"red\nblue\n\nred\n", ["line 4: 'red' stands in line 1 already"]),
        (b"green\nblue", ["answer 'red' is not among candidates ['green', 'blue']"]),
        (b"\n".join(b"%d" % i for i in range(1842)), ["answer 'red' is not among candidates 1842"]),
    ],
)
def test_a_wrong_list_of_candidates_is_named_with_the_line_that_wants_it(
    tmp_path: Path, content: bytes | None, said: list[str]
) -> None:
    if content is not None:
        (tmp_path / "colours.txt").write_bytes(content)
    message = error_of(
        write(tmp_path / "m.jsonl", GOOD, {**QUESTION, "id": "q", "candidates": "colours.txt"})
    )
    for part in ["m.jsonl: 1 broken line(s)", "line 2", *said]:
        assert part in message
    assert "alue error" not in message


def test_an_empty_query_is_fine(tmp_path: Path) -> None:
    assert read_manifest(write(tmp_path / "m.jsonl", {**GOOD, "query": ""}))[0].query == ""


def test_many_broken_lines_show_five_and_a_count(tmp_path: Path) -> None:
    message = error_of(write(tmp_path / "m.jsonl", *["nonsense"] * 8))
    assert message.count("not JSON") == 5
    assert "8 broken line(s)" in message
    assert "and 3 more" in message


def test_empty_missing_and_binary_files_are_told_apart(tmp_path: Path) -> None:
    assert "holds no sample" in error_of(write(tmp_path / "m.jsonl", "", ""))
    assert "did you mean 'm.jsonl'?" in error_of(tmp_path / "n.jsonl")
    assert "no folder" in error_of(tmp_path / "nowhere" / "m.jsonl")
    (tmp_path / "b.jsonl").write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in error_of(tmp_path / "b.jsonl")


def test_media_are_relative_to_the_manifest_or_to_root(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.jsonl",
        GOOD,
        {**GOOD, "id": "b", "media": "/x.mp4"},
        {**GOOD, "id": "c", "media": "s3://y"},
    )
    assert [r.path for r in read_records(path)] == [str(tmp_path / "a.mp4"), "/x.mp4", "s3://y"]
    assert read_records(path, root="/other")[0].path == "/other/a.mp4"
    assert read_records(path)[1].where == f"{path}, line 2"


def test_a_folder_is_no_manifest_and_is_not_said_to_be_missing(tmp_path: Path) -> None:
    assert error_of(tmp_path) == f"manifest '{tmp_path}' is a folder; expected a file of JSON lines"


def test_a_missing_file_is_compared_with_the_names_of_a_small_folder_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of missing media in a folder of thousands of others took hours of comparing names."""
    monkeypatch.setattr(records, "COMPARED", 2)
    for name in ("clip1.webm", "clip2.webm"):
        (tmp_path / name).touch()
    assert "did you mean 'clip1.webm'" in missing_file(tmp_path / "clip1.mp4")
    (tmp_path / "clip3.webm").touch()
    assert missing_file(tmp_path / "clip1.mp4") == f"there is no 'clip1.mp4' in '{tmp_path}'"
