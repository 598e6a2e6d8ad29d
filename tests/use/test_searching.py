"""A search gives the best windows, each stretch of a file once; its page needs no other file."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from jepa_vl.use import vectors
from jepa_vl.use.clock import clock
from jepa_vl.use.gallery import About, Gallery, Media
from jepa_vl.use.searching import Hit, Searcher
from jepa_vl.use.sheet import contact_sheet


def make(folder: Path, files: dict[str, tuple[list[tuple[float, float]], np.ndarray]]) -> Searcher:
    about = About("/videos", "runs/x", "hash", 4.0, 2.0, 8)
    with Gallery(folder, about) as gallery:
        for path, (spans, rows) in files.items():
            gallery.put(Media(path, 1, 1), np.array(spans, dtype=np.float64), rows)
        index = vectors.build(gallery.vectors(), count=gallery.count(), width=8)
        vectors.write(index, folder / "x.faiss")
        gallery.set_built("x.faiss")
    return Searcher(folder)


def slow(files: dict[str, Any], wanted: np.ndarray, top: int) -> list[tuple[str, float, float]]:
    """All windows, best first, each dropped that overlaps a better one of its file."""
    every = sorted(
        (
            (float(row @ wanted), path, *span)
            for path, (spans, rows) in files.items()
            for span, row in zip(spans, rows, strict=True)
        ),
        reverse=True,
    )
    kept: list[tuple[str, float, float]] = []
    for _, path, start, end in every:
        if not any(p == path and start < e and s < end for p, s, e in kept):
            kept.append((path, start, end))
    return kept[:top]


@pytest.mark.parametrize("top", [1, 5, 40, 1000])
def test_hits_are_the_best_windows_without_overlap(tmp_path: Path, top: int) -> None:
    random = np.random.default_rng(0)
    files = {}
    for i in range(12):
        count = 1 + 7 * i
        rows = random.standard_normal((count, 8)).astype(np.float32)
        spans = [(2.0 * j, 2.0 * j + 4) for j in range(count)]
        files[f"{i}.mp4"] = (spans, rows / np.linalg.norm(rows, axis=1, keepdims=True))
    wanted = files["3.mp4"][1][5]
    hits = make(tmp_path, files).find(wanted, top=top)
    assert [(Path(h.file).name, h.start, h.end) for h in hits] == slow(files, wanted, top)
    assert hits[0].file == "/videos/3.mp4"
    assert hits[0].score == pytest.approx(1.0, abs=1e-5)


class Checker(HTMLParser):
    void: ClassVar[set[str]] = {"meta", "img"}

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.void:
            self.open.append(tag)
        self.sources += [value or "" for name, value in attrs if name == "src"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_holds_its_pictures(video: Path, tmp_path: Path) -> None:
    hits = [Hit(str(video), 0.0, 1.0, 0.9), Hit(str(tmp_path / "gone <b>.mp4"), 1.0, 2.0, -0.1)]
    page = contact_sheet("<script>alert(1)</script>", hits, about="of 2 windows")
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert len(checker.sources) == 3
    assert all(source.startswith("data:image/jpeg;base64,") for source in checker.sources)
    assert "<script>" not in page
    assert "gone <b>" not in page
    assert "there is no" in page  # the file that is gone says so in its place


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00.0"), (59.96, "1:00.0"), (75.5, "1:15.5"), (3661.25, "1:01:01.2")]
)
def test_times_are_written_as_a_player_shows_them(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown
