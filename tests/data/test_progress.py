from __future__ import annotations

import io

import pytest
from rich.console import Console

from jepa_vl.data import progress
from jepa_vl.data.progress import track


class Clock:
    """Each look at it is one second later."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


def log(items: int, monkeypatch: pytest.MonkeyPatch, total: int | None) -> list[str]:
    monkeypatch.setattr(progress, "time", Clock())
    console = Console(file=io.StringIO(), force_terminal=False, width=200)
    assert list(track(range(items), total=total, what="Encoding", console=console)) == list(range(items))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_a_log_gets_a_line_now_and_then_and_one_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = log(40, monkeypatch, 40)
    assert lines[0] == "Encoding: 2/40, 38 s left"
    assert lines[-1] == "Encoding: 40/40, 0 s left"
    assert 3 <= len(lines) <= 5


def test_where_no_one_knows_how_many_there_are_the_lines_count_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert log(40, monkeypatch, None)[0] == "Encoding: 2"
    # and where there are more than was said
    assert log(40, monkeypatch, 10)[-1] == "Encoding: 40"


def test_a_quick_step_says_nothing_in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    assert log(1, monkeypatch, 1) == []


def test_a_terminal_gets_a_bar() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    assert list(track("abc", total=3, what="Encoding", console=console)) == ["a", "b", "c"]
    assert "Encoding" in console.file.getvalue()  # type: ignore[attr-defined]
