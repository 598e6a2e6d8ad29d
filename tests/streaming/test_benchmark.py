"""`benchmarks/streaming.py`: its commands work, and its numbers hang together."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "streaming.py"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run the script; return what it wrote."""

    def run(*words: str) -> dict[str, Any]:
        file = tmp_path / "measured.json"
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *words, "--output", str(file)])
        runpy.run_path(str(SCRIPT), run_name="__main__")
        found: dict[str, Any] = json.loads(file.read_text())
        return found

    return run


def test_the_pace_is_that_of_its_phases_and_the_rarer_text_costs_less(measured: Any) -> None:
    online, uniform, dense = measured()["policies"]
    assert online["decodes"] < uniform["decodes"] < dense["decodes"] == dense["windows"]
    for row in (online, uniform, dense):
        assert row["p50_ms"] <= row["p95_ms"]
        assert sum(row["shares"].values()) == pytest.approx(1)
        assert 0 < row["factor"] < 1


def test_memory_is_measured_along_the_whole_stream(measured: Any) -> None:
    memory = measured("--hours", "0.05")["memory"]
    assert memory["windows"] == 359
    assert len(memory["peak_mib"]) >= 8  # a tenth without a text has none
    assert memory["peak_mib"] == sorted(memory["peak_mib"])
