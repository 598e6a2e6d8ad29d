"""Progress of a step that takes more than a few seconds: a bar in a terminal, lines in a log."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
QUIET_SECONDS = 2.0  # a step shorter than this shows nothing in a log
LINE_SECONDS = 15.0


def track(items: Iterable[T], *, total: int | None, what: str, console: Console | None = None) -> Iterator[T]:
    """Yield ``items`` and show how many of ``total`` are done; None where no one knows how many there are."""
    console = console or Console(stderr=True)
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            yield from bar.track(items, total=total, description=what)
        return
    begun = time.monotonic()
    due = begun + QUIET_SECONDS
    shown = False
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now >= due or (shown and done == total):
            shown, due = True, now + LINE_SECONDS
            console.print(f"{what}: {_so_far(done, total, now - begun)}", highlight=False)


def _so_far(done: int, total: int | None, seconds: float) -> str:
    if total is None or done > total:
        return f"{done}"
    return f"{done}/{total}, {seconds / done * (total - done):.0f} s left"
