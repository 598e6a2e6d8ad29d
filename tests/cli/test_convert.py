from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from jepa_vl import registry
from jepa_vl.data.records import read_manifest
from jepa_vl.readers.base import Reader
from jepa_vl.readers.ssv2 import SSv2

Command = Callable[..., tuple[int, str, str]]
CLIPS = {"1": "Closing [something]", "2": "Opening [something]", "3": "Closing [something]"}


@pytest.fixture
def ssv2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with ``v.json`` of three clips and a folder of their videos."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "videos").mkdir()
    for name in CLIPS:
        (tmp_path / "videos" / f"{name}.webm").touch()
    entries = [{"id": i, "label": "x", "template": t, "placeholders": ["y"]} for i, t in CLIPS.items()]
    (tmp_path / "v.json").write_text(json.dumps(entries))
    return tmp_path


ARGUMENTS = ("--annotations", "v.json", "--media", "videos", "--output", "m.jsonl")


def test_the_files_become_a_manifest_and_a_summary(ssv2: Path, jepa_vl: Command) -> None:
    status, out, err = jepa_vl("convert", "ssv2", *ARGUMENTS)
    assert (status, err) == (0, "")
    assert [s.media for s in read_manifest(ssv2 / "m.jsonl")] == [f"videos/{n}.webm" for n in CLIPS]
    assert out.splitlines() == [
        "wrote m.jsonl: 3 samples of 3 media",
        "  splits: val 3",
        "  labels: 2",
        "warning: the annotations hold 3 in val, 24,774 fewer than the 24,777 of the published set; "
        "is it another version, or a part of it?",
    ]


def test_a_complete_set_is_said_to_be_so_and_a_gap_in_the_media_counted(
    ssv2: Path, jepa_vl: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SSv2, "expected", lambda self: {"val": 3})
    assert "complete: 3 of 3 in val\n" in jepa_vl("convert", "ssv2", *ARGUMENTS)[1]
    (ssv2 / "videos" / "2.webm").unlink()
    out = jepa_vl("convert", "ssv2", *ARGUMENTS, "--max-missing", "1")[1]
    assert "incomplete: 2 of 3 in val, 1 have no media\n" in out
    assert "warning: 1 of 3 media are missing, 1 samples are left out; the media are listed in m.jsonl" in out


@pytest.mark.parametrize("flag", ["--max-missing", "--max_missing"])
def test_missing_media_are_refused_up_to_a_limit(ssv2: Path, jepa_vl: Command, flag: str) -> None:
    (ssv2 / "videos" / "2.webm").unlink()
    status, _, err = jepa_vl("convert", "ssv2", *ARGUMENTS)
    assert status == 1
    assert err.splitlines() == [
        "error: 1 of 3 media are missing, --max-missing allows 0; all are listed in m.jsonl.missing.txt",
        "  videos/2.webm",
    ]
    assert not (ssv2 / "m.jsonl").exists()
    for limit in ("1", "all"):
        assert jepa_vl("convert", "ssv2", *ARGUMENTS, flag, limit)[0] == 0
        assert len(read_manifest(ssv2 / "m.jsonl")) == 2


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("imagnet", *ARGUMENTS), "unknown benchmark 'imagnet'; did you mean 'imagenet'?"),
        (("ssv2", "--anotations", "x"), "unknown option --anotations; did you mean 'annotations'?"),
        (("ssv2", "--media", "videos", "--output", "m.jsonl"), "--annotations is missing"),
        (("ssv2", *ARGUMENTS[:4]), "--output is missing"),
        (("ssv2", *ARGUMENTS, "--max-missing", "few"), "found 'few', expected a number of media, or 'all'"),
        (("ssv2", *ARGUMENTS, "extra"), "unexpected 'extra'"),
        (("ssv2", *ARGUMENTS[:2], "--output", "m.jsonl"), "name their folder: --media DIR"),
        (("ssv2", *ARGUMENTS[:3], "vidoes", *ARGUMENTS[4:]), "--media: 'vidoes' is not a folder"),
        (("ssv2", "--config", "x.yaml"), "`jepa-vl convert` takes no recipe"),
        (("--output", "m.jsonl"), "needs the name of a benchmark before --output"),
        (
            ("kinetics400", *ARGUMENTS, "--layout", "tree"),
            "--layout: found 'tree', expected one of 'flat', 'class'",
        ),
        (
            ("epic_kitchens_100", *ARGUMENTS, "--verbs", "v", "--nouns", "n", "--anticipation", "soon"),
            "--anticipation: found 'soon', expected float or null",
        ),
    ],
)
def test_a_wrong_command_is_one_message_and_status_2(
    ssv2: Path, jepa_vl: Command, argv: tuple[str, ...], says: str
) -> None:
    status, _, err = jepa_vl("convert", *argv)
    assert status == 2
    assert says in err
    assert err.count("\n") == 1


def test_a_file_of_another_version_is_one_message_and_status_1(ssv2: Path, jepa_vl: Command) -> None:
    (ssv2 / "v.json").write_text('{"1": "Closing something"}')
    status, _, err = jepa_vl("convert", "ssv2", *ARGUMENTS)
    assert status == 1
    assert err == (
        "error: v.json: found an object, expected a list; this reader reads "
        "something-something-v2-validation.json: a list of {id, label, template, placeholders}\n"
    )


def test_lists_and_switches_are_read(tmp_path: Path, jepa_vl: Command) -> None:
    node = {
        "node_id": "0",
        "start": 0,
        "end": 2,
        "gpt": {"action": {"brief": "a"}, "summary": {"brief": "s"}},
    }
    (tmp_path / "a.jsonl").write_text(json.dumps({"video_uid": "v", "metadata": {}, "nodes": [node]}))
    (tmp_path / "v.mkv").touch()
    shared = ("--annotations", str(tmp_path / "a.jsonl"), "--media", str(tmp_path))
    output = ("--output", str(tmp_path / "m.jsonl"))
    status, _, err = jepa_vl("convert", "action100m", *shared, *output, "--texts", "[caption/brief]")
    assert status == 0, err
    assert [(s.target, s.media) for s in read_manifest(tmp_path / "m.jsonl")] == [("s", "v.mkv")]


def test_the_reader_of_the_docs_works_from_a_local_file(ssv2: Path, jepa_vl: Command) -> None:
    page = Path(__file__).parents[2] / "docs" / "benchmarks" / "index.md"
    shown = re.search(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    assert shown is not None
    # a name of its own: what is registered stays for the tests that come after
    (ssv2 / "docs_reader.py").write_text(shown[1])
    (ssv2 / "clips.csv").write_text("clip,class\n1,red\n")
    argv = ("--plugins", "docs_reader.py", "--annotations", "clips.csv", *ARGUMENTS[2:])
    status, out, err = jepa_vl("convert", "my_clips", *argv)
    assert status == 0, err
    assert [(s.media, s.label) for s in read_manifest(ssv2 / "m.jsonl")] == [("videos/1.webm", "red")]
    assert "warning" not in out


def test_the_list_has_every_benchmark_with_its_numbers(jepa_vl: Command) -> None:
    status, out, _ = jepa_vl("convert", "--list")
    assert status == 0
    header, *lines = out.splitlines()
    assert header.split() == ["name", "task", "split", "samples", "metric"]
    rows = {line.split()[0]: re.split(r" {2,}", line) for line in lines}
    assert list(rows) == registry.names("readers")
    assert rows["ssv2"] == [
        "ssv2",
        "classification",
        "validation",
        "24,777",
        "top-1 accuracy over 174 classes",
    ]
    assert rows["crosstask"][3] == "?"


def test_help_without_a_name_lists_them_and_nothing_at_all_is_an_error(jepa_vl: Command) -> None:
    status, out, _ = jepa_vl("convert", "--help")
    assert status == 0
    assert "ssv2" in out
    assert jepa_vl("convert")[0::2] == (2, out)


def test_a_benchmark_of_texts_alone_takes_no_media(ssv2: Path, jepa_vl: Command) -> None:
    status, out, _ = jepa_vl("convert", "visla", "--help")
    assert status == 0
    assert "--media" not in out
    assert "--max-missing" not in out
    argv = ("--annotations", ".", "--media", ".", "--output", "m.jsonl")
    status, _, err = jepa_vl("convert", "visla", *argv)
    assert (status, err.count("\n")) == (2, 1)
    assert "texts alone" in err


@pytest.mark.parametrize("name", registry.names("readers"))
def test_the_help_of_a_benchmark_says_what_a_user_must_know(jepa_vl: Command, name: str) -> None:
    status, out, err = jepa_vl("convert", name, "--help")
    assert status == 0, err
    about: Reader = registry.get("readers", name)
    words = " ".join(out.split())
    for fact in (about.about.title, about.about.licence, about.about.homepage, about.about.metric):
        assert " ".join(fact.split()) in words
    for assumption in about.about.assumptions:
        assert " ".join(assumption.split()) in words
    # every flag has a word of help behind it or below it
    options = out.partition("options:\n")[2].partition("\nabout:")[0].splitlines()
    heads = [i for i, line in enumerate(options) if line.startswith("  --")]
    bare = [options[i] for i in heads if not re.search(r"\S  +\S", options[i][2:])]
    assert [line for line in bare if not options[options.index(line) + 1].startswith(" " * 10)] == []
    assert max(map(len, out.splitlines())) < 160
