"""An index holds every window once, goes on after a kill, follows its folder, and refuses another model."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from jepa_vl.errors import RecipeError, UserError
from jepa_vl.use import Model, Stretch, vectors
from jepa_vl.use.gallery import Gallery
from jepa_vl.use.indexing import Indexed, index_folder
from jepa_vl.use.searching import Searcher


@pytest.fixture
def folder(write_video: Callable[..., Path], tmp_path: Path) -> Path:
    """Three videos of 4, 2 and 1 s (of windows of 2 s: 3, 1 and 1) and an image."""
    folder = tmp_path / "videos"
    for seed, (name, seconds) in enumerate({"a.mp4": 4.0, "in/b.mp4": 2.0, "in/c.mp4": 1.0}.items()):
        write_video(folder / name, seconds=seconds, seed=seed)
    Image.new("RGB", (32, 32), (200, 30, 30)).save(folder / "still.png")
    return folder


@pytest.fixture
def index(model: Model, folder: Path, tmp_path: Path) -> Callable[..., Indexed]:
    def run(by: Model = model, **changes: Any) -> Indexed:
        options: dict[str, Any] = {"source": "runs/tiny", "window": 2.0, "stride": 1.0} | changes
        return index_folder(by, folder, tmp_path / "index", **options)

    return run


def stored(folder: Path) -> dict[tuple[Any, ...], np.ndarray]:
    with Gallery(folder) as gallery:
        rows = np.concatenate(list(gallery.vectors()))
        return {astuple(gallery.span(i)): row for i, row in enumerate(rows)}


def test_every_window_has_the_embedding_of_its_stretch(
    model: Model, folder: Path, index: Callable[..., Indexed], tmp_path: Path
) -> None:
    assert index() == Indexed(added=4, removed=0, kept=0, windows=6, unreadable={})
    found = stored(tmp_path / "index")
    assert sorted(found, key=str) == sorted(
        [
            *(("a.mp4", start, start + 2) for start in range(3)),
            *(("in/b.mp4", 0, 2), ("in/c.mp4", 0, 1), ("still.png", None, None)),
        ],
        key=str,
    )
    for (path, start, end), row in found.items():
        expected = model.embed_video(Stretch(folder / path, start, end)).numpy()
        np.testing.assert_allclose(row, expected, atol=1e-6)


def test_an_index_follows_its_folder_and_reads_only_what_changed(
    folder: Path, index: Callable[..., Indexed], write_video: Callable[..., Path], tmp_path: Path
) -> None:
    index()
    before = stored(tmp_path / "index")
    assert index() == Indexed(added=0, removed=0, kept=4, windows=6, unreadable={})
    (folder / "in/b.mp4").unlink()
    write_video(folder / "new.mp4", seconds=2, seed=9)
    write_video(folder / "in/c.mp4", seconds=2, seed=8)
    assert index() == Indexed(added=2, removed=1, kept=2, windows=6, unreadable={})
    after = stored(tmp_path / "index")
    assert {key[0] for key in after} == {"a.mp4", "in/c.mp4", "new.mp4", "still.png"}
    for key in before.keys() & after.keys():
        assert key[0] == "in/c.mp4" or np.array_equal(before[key], after[key])
    assert len(list((tmp_path / "index").glob("*.faiss"))) == 1


def test_an_index_that_was_killed_goes_on_where_it_was(
    model: Model, index: Callable[..., Indexed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    single = Model(model.objective, recipe=model.recipe, batch_size=1, device="cpu")
    real, calls = Model.embed_frames, []

    def die(self: Model, frames: Any, query: str = "") -> Any:
        calls.append(1)
        if len(calls) == 5:  # in the middle of the files
            raise KeyboardInterrupt
        return real(self, frames, query)

    monkeypatch.setattr(Model, "embed_frames", die)
    with pytest.raises(KeyboardInterrupt):
        index(single)
    with pytest.raises(UserError, match="not finished; run the same"):
        Searcher(tmp_path / "index")
    monkeypatch.setattr(Model, "embed_frames", real)
    done = index(single)
    assert (done.kept > 0, done.kept + done.added, done.windows) == (True, 4, 6)


def test_unreadable_files_are_listed_and_read_again_when_they_change(
    folder: Path, index: Callable[..., Indexed], write_video: Callable[..., Path]
) -> None:
    (folder / "in/b.mp4").write_bytes((folder / "in/b.mp4").read_bytes()[:300])
    (folder / "in/c.mp4").write_bytes(b"")
    done = index()
    assert set(done.unreadable) == {"in/b.mp4", "in/c.mp4"}
    assert "empty" in done.unreadable["in/c.mp4"]
    assert done.windows == 4
    write_video(folder / "in/b.mp4", seconds=2)
    assert index() == Indexed(1, 0, 3, 5, {"in/c.mp4": done.unreadable["in/c.mp4"]})


def test_a_folder_of_which_nothing_can_be_read_is_an_error(
    folder: Path, index: Callable[..., Indexed]
) -> None:
    for file in (f for f in folder.rglob("*") if f.is_file()):
        file.write_bytes(b"no")
    with pytest.raises(UserError, match="none of the 4 files"):
        index()


def test_another_model_window_or_folder_is_refused(
    model: Model, index: Callable[..., Indexed], folder: Path, tmp_path: Path
) -> None:
    index()
    with pytest.raises(UserError, match=r"another window: 2.0, not 3.0"):
        index(window=3.0)
    parameter = next(p for p in model.objective.parameters() if p.requires_grad)
    before = parameter.detach().clone()
    with torch.no_grad():
        parameter.add_(1)
    try:
        with pytest.raises(UserError, match="made with another model"):
            index()
        with pytest.raises(UserError, match="made with another model"):
            Searcher(tmp_path / "index").check(model)
    finally:
        with torch.no_grad():
            parameter.copy_(before)
    (tmp_path / "x").mkdir()
    (folder / "a.mp4").rename(tmp_path / "x" / "a.mp4")
    with pytest.raises(UserError, match="another folder"):
        index_folder(model, tmp_path / "x", tmp_path / "index", source="", window=2.0, stride=1.0)


def test_gaps_between_windows_are_refused(index: Callable[..., Indexed]) -> None:
    for window, stride in ((2.0, 3.0), (2.0, 0.0), (-1.0, 1.0)):
        with pytest.raises(RecipeError, match="0 < stride <= window"):
            index(window=window, stride=stride)


def test_a_folder_of_something_else_is_not_written_to(index: Callable[..., Indexed], tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match="is no index"):
        index()


def test_without_faiss_the_error_says_how_to_get_it(
    index: Callable[..., Indexed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UserError, match=r"pip install 'jepa-vl\[search\]'"):
        index()


def test_a_large_index_finds_what_an_exact_one_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.nn.functional.normalize(torch.randn(3000, 64), dim=1).numpy()
    exact = vectors.build([rows], count=len(rows), width=64)
    monkeypatch.setattr(vectors, "LARGE", 100)
    half = vectors.build([rows[:1000], rows[1000:]], count=len(rows), width=64)
    assert type(exact) is not type(half)
    truth = np.argsort(-rows[:20] @ rows.T, axis=1)[:, :10]
    assert (exact.search(rows[:20], 10)[1] == truth).mean() > 0.99
    assert (half.search(rows[:20], 10)[1] == truth).mean() > 0.97


def test_a_damaged_index_is_said_to_be(index: Callable[..., Indexed], tmp_path: Path) -> None:
    index()
    [file] = (tmp_path / "index").glob("*.faiss")
    os.truncate(file, 40)
    with pytest.raises(UserError, match="is damaged"):
        Searcher(tmp_path / "index")
    (tmp_path / "index" / "gallery.sqlite").write_bytes(b"not a database, and long enough to be read as one")
    with pytest.raises(UserError, match="not an index of jepa-vl, or is damaged"):
        Searcher(tmp_path / "index")
