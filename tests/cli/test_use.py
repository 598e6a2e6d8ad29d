"""The verbs that use a model: what they write, and the status and message of a wrong command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from jepa_vl.__main__ import main
from jepa_vl.cli import index as index_verb
from jepa_vl.cli import search as search_verb
from jepa_vl.cli import use
from jepa_vl.cli.words import load_model, texts
from jepa_vl.use import Match
from jepa_vl.use.indexing import Indexed

MODEL = ("--model", "runs/x")


class Fake:
    """Answers without a network; `tests/use` has the real one."""

    def embed_video(self, videos: list[str], query: str) -> torch.Tensor:
        return torch.arange(2.0 * len(videos)).reshape(-1, 2)

    def classify(self, videos: list[str], labels: list[str], **options: Any) -> list[list[Match]]:
        return [[Match(label, 0.5, i) for i, label in enumerate(labels)][: options["top"]] for _ in videos]

    def answer(self, videos: list[str], question: str, candidates: list[str]) -> list[list[Match]]:
        return [[Match(candidates[-1], 0.25, 1)]]

    def caption(self, videos: list[str], query: str, texts: list[str] | None) -> list[str]:
        return [f"{query} {texts}" for _ in videos]

    def tell_texts(self, texts: list[str]) -> None:
        self.told = texts

    def save_pretrained(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"1")
        (folder / "texts").write_text(" ".join(getattr(self, "told", [])))


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module in (use, index_verb, search_verb):
        monkeypatch.setattr(module, "load_model", lambda arguments: Fake())
    monkeypatch.chdir(tmp_path)


def lines(capsys: pytest.CaptureFixture[str]) -> list[Any]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_embeddings_are_written_as_one_array(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["embed", "a.mp4", "b.mp4", *MODEL, "--output", "e.npy"]) == 0
    assert np.load(tmp_path / "e.npy").tolist() == [[0, 1], [2, 3]]
    assert "2 × 2 float32 in e.npy" in capsys.readouterr().out
    assert main(["embed", "a.mp4", *MODEL, "--json"]) == 0
    assert lines(capsys) == [{"video": "a.mp4", "embedding": [0, 1]}]


def test_classes_come_from_the_command_or_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("open the door\n\nclose it, please\n")
    for labels in ("classes.txt", "open the door, close it"):
        assert main(["classify", "a.mp4", "b.mp4", *MODEL, "--labels", labels, "--top", "1", "--json"]) == 0
        found = lines(capsys)
        assert [row["video"] for row in found] == ["a.mp4", "b.mp4"]
        assert found[0]["labels"] == [{"label": "open the door", "score": 0.5}]
    assert texts("--labels", "classes.txt") == ["open the door", "close it, please"]


def test_answers_and_captions_are_readable(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "a.mp4", "is it [red]?", *MODEL, "--candidates", "yes,no"]) == 0
    assert "is it [red]?" in (out := capsys.readouterr().out)
    assert "0.250  no" in out
    assert main(["caption", "a.mp4", *MODEL, "--texts", "x,y"]) == 0
    assert capsys.readouterr().out == "a.mp4:  ['x', 'y']\n"


def test_a_question_without_candidates_is_answered_in_free_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "a.mp4", "what is it?", *MODEL, "--decoder", "runs/d", "--json"]) == 0
    assert lines(capsys) == [{"video": "a.mp4", "query": "what is it?", "text": "what is it? None"}]
    assert main(["ask", "a.mp4", "what?", *MODEL, "--decoder", "nearest", "--texts", "a ball,a key"]) == 0
    assert capsys.readouterr().out == "a.mp4: what? ['a ball', 'a key']\n"


@pytest.mark.parametrize(
    "words",
    [
        ["caption", "a.mp4", *MODEL],
        ["ask", "a.mp4", "what?", *MODEL],
        ["export", "runs/x", "--output", "out"],
    ],
    ids=lambda words: words[0],
)
def test_the_decoder_reaches_the_loading_of_the_model(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[tuple[str, Any]] = []

    def load(path: str, **options: Any) -> Fake:
        loaded.append((path, options["decoder"]))
        return Fake()

    monkeypatch.setattr(use, "load_model", load_model)
    monkeypatch.setattr("jepa_vl.use.load", load)
    assert main([*words, "--decoder", "runs/d"]) == 0
    assert loaded == [("runs/x", "runs/d")]


def test_the_texts_of_nearest_are_exported(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("yes\nno\n")
    words = ["export", "runs/x", "--decoder", "nearest", "--texts", "texts.txt", "--output", "out"]
    assert main(words) == 0
    assert (tmp_path / "out" / "texts").read_text() == "yes no"


def test_an_export_never_writes_into_a_folder_with_something_in_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["export", "runs/x", "--output", "out"]) == 0
    assert "out/model.safetensors" in capsys.readouterr().out
    assert main(["export", "runs/x", "--output", "out"]) == 1
    assert "not empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (["classify", "a.mp4", "--labels", "a,b"], 2, "--model"),
        (["classify", *MODEL, "--labels", "a"], 2, "VIDEO"),
        (["classify", "a.mp4", *MODEL, "--labels", "a", "--tpo", "3"], 2, "did you mean '--top'"),
        (["classify", "a.mp4", *MODEL, "--labels", "a", "--top", "0"], 2, "from 1, found '0'"),
        (["classify", "a.mp4", *MODEL, "--labels", "none.txt"], 1, "there is no file 'none.txt'"),
        (["ask", "a.mp4", *MODEL, "--candidates", "a,b"], 2, "QUESTION"),
        (["ask", "a.mp4", "?", *MODEL, "--candidates", "a,b", "--decoder", "d"], 2, "leave out --decoder"),
        (["ask", "a.mp4", "?", *MODEL, "--candidates", "a,b", "--texts", "c"], 2, "leave out --decoder"),
        (["classify", "a.mp4", *MODEL, "--labels", "a", "--decoder", "d"], 2, "unknown option --decoder"),
        (["embed", "a.mp4", *MODEL, "--output", "no/e.npy"], 1, "there is no folder 'no'"),
        (["index", "none", *MODEL, "--output", "x"], 1, "there is no folder 'none'"),
        (["search", "none", "a door"], 1, "make one with `jepa-vl index`"),
        (["search", "none", " "], 2, "blank"),
        (["clasify"], 2, "did you mean 'classify'"),
    ],
)
def test_a_wrong_command_has_one_message_and_its_status(
    words: list[str], status: int, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == status
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("verb", ["embed", "classify", "ask", "caption", "export", "index", "search"])
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    assert f"  jepa-vl {verb} " in capsys.readouterr().out
    assert main(["--help"]) == 0
    assert f"\n  {verb} " in capsys.readouterr().out


def test_index_says_what_it_did_and_what_it_could_not_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "v").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "v" / "a.png")
    bad = {f"{i}.mp4": "cut off" for i in range(7)}
    monkeypatch.setattr("jepa_vl.use.indexing.index_folder", lambda *a, **k: Indexed(3, 1, 2, 40, bad))
    assert main(["index", "v", *MODEL, "--output", "x"]) == 0
    out = capsys.readouterr().out
    assert "40 windows; 3 files read, 2 unchanged, 1 gone, 7 unreadable" in out
    assert "cannot read 0.mp4: cut off" in out
    assert "and 2 more" in out
