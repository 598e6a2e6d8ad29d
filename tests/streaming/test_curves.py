"""Curves are drawn from what the task wrote, and the command says what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jepa_vl.streaming.curves import PAPER, PAPER_INTERVALS, load, main
from jepa_vl.streaming.evaluation.decided import Decided
from jepa_vl.streaming.evaluation.scores import Bound, Cost, Judged, PolicyScores, Scores
from jepa_vl.tasks.streaming import RATES
from jepa_vl.tasks.streaming_rows import details

pytest.importorskip("matplotlib")


def policy(
    label: str, good: float, *, calls: float = 1.0, rates: tuple[float, ...] = (1.0, 0.5)
) -> PolicyScores:
    """A policy that scores ``good × rate`` on four annotations of two streams of 10 s."""
    at = [
        Judged(
            Decided(
                rate, np.zeros(4, int), np.zeros(4), *(np.full(2, calls * 10 * rate),) * 2, np.full(2, 0.1)
            ),
            ["a text"] * 4,
            np.full(4, good * rate),
            np.zeros(4),
        )
        for rate in rates
    ]
    name = label.partition(",")[0]
    return PolicyScores(label, True, name == "uniform", "pooled" in label, name == "oracle", at)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    scores = Scores(
        rates=[1.0, 0.5],
        reference_rate=1.0,
        tolerance=1.0,
        stream=np.array([0, 0, 1, 1]),
        durations=np.full(2, 10.0),
        windows=np.full(2, 19.0),
        policies=[
            policy("uniform", 1),
            policy("selective", 2),
            policy("selective, distinct", 3),
            policy("mine", 2, calls=0),
            policy("oracle", 4),
        ],
        bounds=[Bound("true embeddings", np.full(4, 9.0), np.ones(4))],
        cost=Cost(0.1, 0.2),
    )
    (tmp_path / "streaming.json").write_text(json.dumps({"test": details(scores)}))
    return tmp_path


def test_a_run_is_drawn(run: Path, capsys: Any) -> None:
    assert main([str(run), "--generative", str(run)]) == 0
    assert capsys.readouterr().out.strip() == str(run / "streaming.png")
    assert (run / "streaming.png").read_bytes().startswith(b"\x89PNG")
    assert main([str(run / "streaming.json"), "--output", str(run / "new" / "c.svg")]) == 0
    picture = (run / "new" / "c.svg").read_text()
    assert "<svg" in picture


def test_the_record_says_what_is_saved(run: Path) -> None:
    selective = load(run)["policies"][1]
    saved = selective["savings"]
    assert saved["times fewer decodes at equal CIDEr"]["value"] == pytest.approx(2)
    # 20 decodes of .2 s and .2 s of deciding, and 38 windows of .1 s; with half the decodes
    assert saved["times less decoding time at equal CIDEr"]["value"] == pytest.approx(4.2 / 2.2)
    assert saved["times less time at equal CIDEr"]["value"] == pytest.approx(8.0 / 6.0)
    assert saved["times less time at equal CIDEr, sparse uniform"]["value"] == pytest.approx(6.2 / 6.0)
    assert [at["minus uniform"]["value"] for at in selective["at"]] == pytest.approx([1, 0.5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such file; `jepa-vl test` writes it with the task streaming"),
        (["broken.json"], "broken.json: not JSON"),
        (["other.json"], "has no streams of the set 'test'; it has ['test']"),
        (["streaming.json", "--set", "val"], "has no streams of the set 'val'; it has ['test']"),
    ],
)
def test_what_cannot_be_drawn_is_one_message(
    run: Path, arguments: list[str], message: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "broken.json").write_text("{")
    (run / "other.json").write_text('{"test": {}}')
    monkeypatch.chdir(run)
    assert main(arguments) == 1
    assert message in capsys.readouterr().err


def test_the_papers_curves_are_at_the_rates_of_the_task() -> None:
    assert [1 / rate for rate in RATES] == pytest.approx(PAPER_INTERVALS, rel=0.01)
    assert {len(values) for values in PAPER.values()} == {len(PAPER_INTERVALS)}
