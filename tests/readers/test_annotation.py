from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jepa_vl.errors import ManifestError
from jepa_vl.readers.annotation import Annotation, read_csv, read_json, read_jsonl

Write = Callable[[str, Any], str]
VERSION = "the version that is read"


def entry(**values: Any) -> Annotation:
    return Annotation(values, "a.json, entry 3", VERSION)


def message(call: Callable[[], Any]) -> str:
    with pytest.raises(ManifestError) as caught:
        call()
    return str(caught.value)


def test_a_missing_key_names_place_key_what_is_there_and_the_version() -> None:
    said = message(lambda: entry(name="x", id=3).text("label"))
    assert said == "a.json, entry 3: 'label' is missing; found name, id; this reader reads " + VERSION


@pytest.mark.parametrize(
    ("read", "value", "says"),
    [
        (Annotation.text, " ", 'found " ", expected a text'),
        (Annotation.text, None, "found null, expected a text"),
        (Annotation.text, ["a"], 'found ["a"], expected a text'),
        (Annotation.number, "ten", 'found "ten", expected a number'),
        (Annotation.number, "nan", 'found "nan", expected a number'),
        (Annotation.seconds, "12.5", 'found "12.5", expected a time such as 00:01:02.50'),
        (Annotation.span, [1.0], "found [1.0], expected [start, end] in seconds"),
        (Annotation.texts, "a", 'found "a", expected a list of texts'),
    ],
)
def test_a_wrong_value_is_shown_with_what_was_expected(
    read: Callable[[Annotation, str], Any], value: Any, says: str
) -> None:
    said = message(lambda: read(entry(key=value), "key"))
    assert said == f"a.json, entry 3, 'key': {says}; this reader reads {VERSION}"


def test_numbers_are_read_from_json_and_from_cells() -> None:
    assert entry(a=3).text("a") == "3"
    assert entry(a=" x ").text("a") == "x"
    assert entry(a="1.5").number("a") == entry(a=1.5).number("a") == 1.5
    assert entry(a="01:02:03.25").seconds("a") == 3723.25
    assert entry(a=[1, 2.5]).span("a") == (1.0, 2.5)


def test_a_wrong_shape_is_named(write: Write) -> None:
    path = write("a.json", {"x": []})
    assert "found an object, expected a list" in message(lambda: read_json(path, VERSION).entries())
    assert "found a list, expected an object" in message(lambda: read_json(path, VERSION).at("x").items())


def test_a_name_that_is_none_of_the_official_ones_gets_the_nearest() -> None:
    said = message(lambda: entry(a="opne").at("a").one_of("opne", ["open", "close"]))
    assert "'opne' is none of the 2 names; did you mean 'open'?" in said


def test_a_file_that_is_not_there_or_not_json_says_so(write: Write) -> None:
    path = write("validation.json", [])
    said = message(lambda: read_json(path.replace("validation", "validaton"), VERSION))
    assert "did you mean 'validation.json'?" in said
    assert VERSION in said
    broken = write("broken.txt", '[\n{"a": 1,}\n]')
    assert message(lambda: read_json(broken, VERSION)).startswith(f"{broken}, line 2: not JSON (")
    lines = write("b.txt", '{"a": 1}\n\n{"a":\n')
    assert message(lambda: list(read_jsonl(lines, VERSION))).startswith(f"{lines}, line 3: not JSON (")


def test_text_that_is_not_utf8_is_one_error(write: Write) -> None:
    path = write("a.csv", "")
    Path(path).write_bytes(b"a\n\xff\n")
    assert "is not UTF-8 text (byte 2)" in message(lambda: list(read_csv(path, VERSION, ("a",))))


def test_a_table_of_another_version_lists_its_columns(write: Write) -> None:
    path = write("a.csv", "uid,verb\n1,open\n")
    said = message(lambda: list(read_csv(path, VERSION, ("uid", "verb_class"))))
    assert said == (
        f"{path}, line 1: column 'verb_class' is missing; found uid, verb; this reader reads {VERSION}"
    )


def test_cells_with_commas_and_quotes_are_read_and_short_rows_refused(write: Write) -> None:
    path = write("a.csv", 'a,b\n"x, ""y""",2\n')
    assert [row.value for row in read_csv(path, VERSION, ("b",))] == [{"a": 'x, "y"', "b": "2"}]
    short = write("b.csv", "a,b\n1,2\n3\n")
    assert "line 3: found 1 cells, expected 2" in message(lambda: list(read_csv(short, VERSION, ("a",))))
    empty = write("c.csv", "a,b\n")
    assert "holds no row" in message(lambda: list(read_csv(empty, VERSION, ("a",))))
