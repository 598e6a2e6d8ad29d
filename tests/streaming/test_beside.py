"""What is said beside a generating twin: paired differences, what each computes, and mismatched runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jepa_vl.results import Outcomes, SetOutcomes
from jepa_vl.streaming.beside import beside, main

IDS = [f"{stream}/{i}" for stream in "abcd" for i in range(3)]


def record(
    policies: dict[str, dict[float, int]], *, window: float, decode: float, **more: Any
) -> dict[str, Any]:
    """As ``streaming.json`` has it: policy → rate → number of decodes."""
    return {
        "streams": 4,
        "annotations": 12,
        "seconds": 60.0,
        "windows": 120,
        "reference_rate": 1.0,
        "seconds_per_window": window,
        "seconds_per_decode": decode,
        "policies": [
            {
                "label": label,
                "bound": label == "oracle",
                "at": [{"rate": r, "decodes": n, "CIDEr": {"value": r}} for r, n in of.items()],
            }
            for label, of in policies.items()
        ],
        **more,
    }


def outcomes(values: dict[str, float]) -> SetOutcomes:
    """The same value, a little off by annotation, for each ``policy @ rate``."""
    return SetOutcomes(
        episodes={i: i[0] for i in IDS},
        tasks={
            "streaming": {
                f"{name}/CIDEr": {i: value + k / 100 for k, i in enumerate(IDS)}
                for name, value in values.items()
            }
        },
    )


@pytest.fixture
def ours() -> tuple[dict[str, Any], SetOutcomes]:
    policies = {"uniform": {1.0: 60}, "coverage": {1.0: 60, 0.5: 30}, "oracle": {1.0: 12}}
    scored = {"uniform @ 1 Hz": 2.0, "coverage @ 1 Hz": 5.0, "oracle @ 1 Hz": 9.0}
    return record(policies, window=0.01, decode=0.1), outcomes(scored)


@pytest.fixture
def twin() -> tuple[dict[str, Any], SetOutcomes]:
    policies = {"uniform": {1.0: 60}, "random": {1.0: 60}}
    return record(policies, window=0.0, decode=0.2), outcomes({"uniform @ 1 Hz": 4.0, "random @ 1 Hz": 3.0})


def test_differences_are_to_the_twin_at_the_reference_rate_and_computing_is_what_each_reads(
    ours: Any, twin: Any
) -> None:
    rows = {(row.label, row.rate): row for row in beside(*ours, *twin)}
    assert set(rows) == {
        ("twin uniform", 1.0),
        ("uniform", 1.0),
        ("coverage", 1.0),
    }  # no bound, no rate unscored
    assert rows["twin uniform", 1.0].difference is None
    found = rows["coverage", 1.0].difference
    assert found is not None
    assert found.n == 12
    assert (found.value, found.low, found.high) == pytest.approx((1.0, 1.0, 1.0))
    assert rows["uniform", 1.0].difference.value == pytest.approx(-2.0)  # type: ignore[union-attr]
    assert rows["twin uniform", 1.0].seconds == pytest.approx(60 * 0.2)
    assert rows["uniform", 1.0].seconds == pytest.approx(60 * (0.01 + 0.1))  # embeds what it decodes
    assert rows["coverage", 1.0].seconds == pytest.approx(120 * 0.01 + 60 * 0.1)  # embeds every window


def save(folder: Path, run: tuple[dict[str, Any], SetOutcomes]) -> Path:
    folder.mkdir()
    (folder / "streaming.json").write_text(json.dumps({"test": run[0]}))
    Outcomes(sets={"test": run[1]}).save(folder / "outcomes.json")
    return folder


def test_the_command_prints_every_policy(
    tmp_path: Path, ours: Any, twin: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(save(tmp_path / "ours", ours)), str(save(tmp_path / "twin", twin))]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "coverage" in line)
    assert "+100.0 (+100.0, +100.0)" in line
    assert "7.20" in line


def test_runs_of_other_streams_and_runs_without_the_reference_are_refused(
    tmp_path: Path, ours: Any, twin: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = save(tmp_path / "ours", ours)
    fewer = save(tmp_path / "fewer", (twin[0] | {"annotations": 11}, twin[1]))
    assert main([str(mine), str(fewer)]) == 1
    assert "annotations is 12 and 11" in capsys.readouterr().err
    mute = save(tmp_path / "mute", (twin[0], outcomes({"random @ 1 Hz": 3.0})))
    assert main([str(mine), str(mute)]) == 1
    assert "no outcomes of 'uniform' at 1 Hz" in capsys.readouterr().err
    assert main([str(mine), str(tmp_path / "none")]) == 1
    assert "no such file; `jepa-vl test` writes it" in capsys.readouterr().err
