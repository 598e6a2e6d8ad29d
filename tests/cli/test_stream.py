"""`jepa-vl stream`: what is shown and written, also when it is stopped, and what a wrong command says."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from jepa_vl.__main__ import main
from jepa_vl.cli import stream as verb
from jepa_vl.errors import UserError
from jepa_vl.streaming.event import Event
from jepa_vl.streaming.live import runner
from jepa_vl.streaming.live.recording import Recording
from jepa_vl.streaming.live.tally import Tally
from jepa_vl.use.clock import clock

MODEL = ("--model", "runs/x")


class FakeRun:
    """Says three things of a minute."""

    options: dict[str, Any]
    stop_after: int | None = None
    failure: BaseException = KeyboardInterrupt()

    def __init__(self, model: Any, source: Any, **options: Any) -> None:
        type(self).options = options
        self.source, self.rate = source, options["rate"]
        self.policy = SimpleNamespace(label="online, drift")
        self.tally = Tally(windows=119, decodes=3, gaps=2, behind=4, seconds=60.0, wall=12.0)
        self.tally.phases["encoder"] = 12.0
        self.recording: Recording | None = None
        self.reached = 60.0
        self.prepare()

    def prepare(self) -> None:
        """Nothing is recorded."""

    def embedded(self) -> str:
        return "embedded"

    def __iter__(self) -> Iterator[Event]:
        for i, text in enumerate(["a red door", "a [bold]box[/bold]", "the end"]):
            if i == self.stop_after:
                self.reached = 21.0
                raise self.failure
            yield Event(20.0 * i + 1, 20.0 * i, 20.0 * i + 2, text, 20.0 * i + 1.5, 0.61, 0.2)

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(verb, "load_model", lambda arguments: None)
    monkeypatch.setattr(runner, "StreamRun", FakeRun)
    monkeypatch.setattr(FakeRun, "stop_after", None)
    monkeypatch.chdir(tmp_path)
    with av.open("walk.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=4)
        stream.width = stream.height = 32
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
        container.mux(stream.encode())


def test_texts_are_shown_with_their_times_and_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stream", "walk.mp4", *MODEL, "--rate", "0.05"]) == 0
    out = capsys.readouterr().out
    assert "0:01.0  a red door  +0.6 s" in out
    assert "0:21.0  a [bold]box[/bold]" in out
    assert "119 windows in 60.0 s, 3 decodes, 39.7 times fewer than one a window (0.05 Hz of 0.05" in out
    assert "2 windows passed over: no frame begins in them" in out
    assert "4 windows skipped to keep up" in out
    assert "0.20 s of computing a second of stream (keeps up with real time): reading 0%, encoder 100%" in out


def test_json_is_all_that_is_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stream", "walk.mp4", *MODEL, "--json"]) == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["time"] for line in out.splitlines()] == [1.0, 21.0, 41.0]
    assert "119 windows" in err


def test_several_files_are_written_at_once(tmp_path: Path) -> None:
    outputs = [word for kind in ("srt", "vtt", "jsonl") for word in ("--output", f"a.{kind}")]
    assert main(["stream", "walk.mp4", *MODEL, *outputs]) == 0
    assert "00:00:41,000 --> 00:01:00,000\nthe end" in (tmp_path / "a.srt").read_text()
    assert (tmp_path / "a.vtt").read_text().startswith("WEBVTT\n\n1\n00:00:01.000 --> 00:00:21.000\n")
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 3


def test_ctrl_c_keeps_what_was_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(FakeRun, "stop_after", 1)
    assert main(["stream", "walk.mp4", *MODEL, "--output", "a.srt"]) == 130
    assert (tmp_path / "a.srt").read_text() == "1\n00:00:01,000 --> 00:00:21,000\na red door\n\n"
    assert "stopped; walk.mp4" in capsys.readouterr().out


def test_a_stream_that_fails_keeps_what_was_written_and_its_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(FakeRun, "stop_after", 1)
    monkeypatch.setattr(FakeRun, "failure", UserError("'walk.mp4' stalled: nothing came for 10 s"))
    monkeypatch.setattr(verb, "_report", lambda run, events, path, model: reported.append(path))
    assert main(["stream", "walk.mp4", *MODEL, "--output", "a.srt", "--report", "a.html"]) == 1
    assert (tmp_path / "a.srt").read_text() == "1\n00:00:01,000 --> 00:00:21,000\na red door\n\n"
    out, err = capsys.readouterr()
    assert "cut off; walk.mp4: 119 windows" in out
    assert err == "error: 'walk.mp4' stalled: nothing came for 10 s\n"
    assert reported == [Path("a.html")]


def test_options_reach_the_run() -> None:
    words = ["--threshold", "0.3", "--policy", "online", "--window", "2", "--stride", "1", "--query", "what?"]
    assert main(["stream", "walk.mp4", *MODEL, *words, "--texts", "a,b"]) == 0
    expected = {
        "threshold": 0.3,
        "rate": None,
        "policy": "online",
        "window": 2,
        "stride": 1,
        "query": "what?",
    }
    assert FakeRun.options.items() >= expected.items()
    assert FakeRun.options["texts"] == ["a", "b"]


def test_a_report_gets_what_was_said_and_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written: dict[str, Any] = {}

    def write_report(path: Path, **content: Any) -> None:
        written.update(content, path=path)

    def recorded(run: FakeRun) -> None:
        run.recording = Recording()
        run.recording.scores, run.recording.thresholds = [0.1, 0.2], [0.5, 0.5]

    stub: Any = ModuleType("jepa_vl.streaming.report")
    stub.write_report = write_report
    monkeypatch.setitem(sys.modules, "jepa_vl.streaming.report", stub)
    monkeypatch.setattr(FakeRun, "prepare", recorded)
    assert main(["stream", "walk.mp4", *MODEL, "--report", "a.html"]) == 0
    assert FakeRun.options["record"]
    assert (written["path"], written["title"], written["stream"]) == (Path("a.html"), "walk.mp4", "embedded")
    assert [event.text for event in written["events"]][-1] == "the end"
    assert (written["scores"], written["thresholds"], written["thumbnails"]) == ([0.1, 0.2], [0.5, 0.5], [])
    assert (
        written["facts"].items() >= {"windows": "119", "rate reached": "0.05 Hz", "model": "runs/x"}.items()
    )


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["wlk.mp4"], 1, "walk.mp4"),
        (["camera:99"], 1, "there is no camera 'camera:99'"),
        (["walk.mp4", "--rate", "5"], 2, "at most 2 decodes a second"),
        (["walk.mp4", "--rate", "1", "--threshold", "1"], 2, "not allowed with"),
        (["walk.mp4", "--rate", "fast"], 2, "fast"),
        (["walk.mp4", "--stride", "3"], 2, "in no window"),
        (["walk.mp4", "--output", "a.txt"], 2, "ends with .jsonl, .srt, .vtt"),
        (["walk.mp4", "--output", "a.srt", "--output", "a.srt"], 2, "given twice"),
        (["walk.mp4", "--report", "no/a.html"], 2, "there is no folder 'no'"),
        (["walk.mp4", "--report", "walk.mp4"], 2, "ends with .html"),
        (["walk.mp4", "--timeout", "0"], 2, "timeout 0 s"),
        (["walk.mp4", "--window", "inf"], 2, "in no window"),
        (["walk.mp4", "--rate", "nan"], 2, "cannot be met"),
        (["walk.mp4", "--threshold", "nan"], 2, "threshold is nan"),
        (["walk.mp4", "--policy", "selectve"], 2, "did you mean 'selective'?"),
        (["walk.mp4", "--policy", "oracle"], 2, "a video has none"),
        (["walk.mp4", "--ouput", "a.srt"], 2, "--output"),
    ],
)
def test_a_wrong_command_is_one_message_before_any_model_is_loaded(
    words: list[str],
    status: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verb, "load_model", lambda arguments: pytest.fail("a model was loaded"))
    assert main(["stream", *words, *MODEL]) == status
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stream", "--help"]) == 0
    assert "jepa-vl stream camera:0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.0, "0:00.0"), (59.96, "1:00.0"), (3725.55, "1:02:05.6"), (75.1, "1:15.1")]
)
def test_times_are_shown_as_people_write_them(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown
