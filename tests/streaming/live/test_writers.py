"""Files of events: right times, and valid after every event."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from jepa_vl.errors import RecipeError
from jepa_vl.streaming.event import Event
from jepa_vl.streaming.live.writers import check_outputs, open_writer, timestamp

CUE = re.compile(r"(\d+)\n(\S+) --> (\S+)\n(.+)\n\n")


def event(time: float, text: str) -> Event:
    return Event(
        time=time, start=time - 1, end=time + 1, text=text, decided=time + 0.5, latency=0.6, score=0.1
    )


def cues(file: Path) -> list[tuple[str, str, str, str]]:
    """Every cue of a subtitle file, of which nothing else may be left."""
    content = file.read_text(encoding="utf-8").removeprefix("WEBVTT\n\n")
    assert CUE.sub("", content) == ""
    return CUE.findall(content)


def test_time_stamps_carry_over_and_go_beyond_an_hour() -> None:
    assert timestamp(0, ",") == "00:00:00,000"
    assert timestamp(59.9996, ",") == "00:01:00,000"
    assert timestamp(3600 + 2 * 60 + 3.045, ".") == "01:02:03.045"
    assert timestamp(100 * 3600, ",") == "100:00:00,000"


@pytest.mark.parametrize(("kind", "point"), [("srt", ","), ("vtt", ".")])
def test_a_text_holds_until_the_next_and_the_file_is_valid_at_any_moment(
    kind: str, point: str, tmp_path: Path
) -> None:
    file = tmp_path / f"a.{kind}"
    writer = open_writer(file)
    assert cues(file) == []
    writer.write(event(1.0, "a door"))
    first = ("1", f"00:00:01{point}000")
    assert cues(file) == [(*first, f"00:00:01{point}500", "a door")]
    writer.write(event(4.25, "a box"))
    second = ("2", f"00:00:04{point}250")
    assert cues(file) == [
        (*first, f"00:00:04{point}250", "a door"),
        (*second, f"00:00:04{point}750", "a box"),
    ]
    writer.close(10.0)
    assert cues(file)[1] == (*second, f"00:00:10{point}000", "a box")


def test_texts_cannot_break_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.vtt"
    writer = open_writer(file)
    for i, text in enumerate(["two\n\nlines", "<b>1 --> 2</b> & so", "", "日本"]):
        writer.write(event(i + 1.0, text))
    writer.close(9.0)
    assert [(number, text) for number, _, _, text in cues(file)] == [
        ("1", "two lines"),
        ("2", "&lt;b&gt;1 --&gt; 2&lt;/b&gt; &amp; so"),
        ("3", "日本"),
    ]


def test_events_at_one_moment_are_cues_in_order(tmp_path: Path) -> None:
    file = tmp_path / "a.srt"
    writer = open_writer(file)
    writer.write(event(1.0, "a"))
    writer.write(event(1.0, "b"))
    writer.close(0.5)  # a stream that was shorter than was thought
    spans = [(start, end) for _, start, end, _ in cues(file)]
    assert all(start < end for start, end in spans)
    assert spans == sorted(spans)


def test_lines_of_json_are_there_as_soon_as_they_are_written(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    writer = open_writer(file)
    for i in range(3):
        writer.write(event(float(i), "é"))
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        assert [row["time"] for row in rows] == [float(n) for n in range(i + 1)]
    assert rows[0] == vars(event(0.0, "é"))
    writer.close(3.0)


def test_unknown_endings_and_missing_folders_are_refused_before_anything_is_computed(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"ends with \.jsonl, \.srt, \.vtt"):
        check_outputs([tmp_path / "a.txt"])
    with pytest.raises(RecipeError, match="there is no folder"):
        check_outputs([tmp_path / "b" / "a.srt"])
    with pytest.raises(RecipeError, match=r"a\.srt: the file is given twice"):
        check_outputs([tmp_path / "a.srt", tmp_path / "a.vtt", tmp_path / ".." / tmp_path.name / "a.srt"])
