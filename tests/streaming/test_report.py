"""The report page: that it stands alone, holds what it was given, and stays small for an hour."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from jepa_vl.errors import UserError
from jepa_vl.streaming.base import EmbeddingStream
from jepa_vl.streaming.event import Event
from jepa_vl.streaming.report import write_report
from jepa_vl.streaming.report.curve import line, thinned, top
from jepa_vl.streaming.report.similarity import VIRIDIS, limits, picture, similarity

Write = Callable[..., str]
NASTY = "</script><script>alert('x')</script> & \"quotes\" <b>"


class Tags(HTMLParser):
    """Counts tags, and keeps attributes that could load something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "data", "action")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def stream_of(n: int, *, width: int = 8, stride: float = 0.5, gap: int = 0) -> EmbeddingStream:
    """Return random unit vectors, ``gap`` windows of time missing in the middle."""
    embeddings = np.random.default_rng(n).normal(size=(n, width)).astype(np.float32)
    if width:
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    places = np.arange(n)
    places[n // 2 :] += gap
    times: NDArray[np.float64] = (0.5 + stride * places).astype(np.float64)
    return EmbeddingStream(times, embeddings, window=1.0, stride=stride, duration=float(times[-1]) + 0.5)


def event(time: float, text: str = "a door opens", *, score: float | None = 0.5) -> Event:
    return Event(time, max(0.0, time - 2), time + 0.5, text, time + 0.5, 0.7, score)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a page with what a test does not name left plain; returns the page."""

    def written(**content: Any) -> str:
        stream = content.setdefault("stream", stream_of(40))
        content.setdefault("scores", [0.1] * len(stream))
        content.setdefault("thresholds", [0.3] * len(stream))
        for name, plain in {"events": [event(4.0)], "thumbnails": [], "title": "a.mp4", "facts": {}}.items():
            content.setdefault(name, plain)
        write_report(tmp_path / "a.html", **content)
        return (tmp_path / "a.html").read_text(encoding="utf-8")

    return written


def data(page: str) -> dict[str, Any]:
    """Return the JSON in a page; NaN in it is an error, as it is in a browser."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None

    def refuse(word: str) -> Any:
        raise AssertionError(word)

    loaded: dict[str, Any] = json.loads(found[1], parse_constant=refuse)
    return loaded


def test_texts_titles_and_facts_cannot_become_markup(write: Write) -> None:
    plain = Tags(write(events=[event(4.0)], facts={"model": "m"}))
    page = write(events=[event(4.0, NASTY)], title=NASTY, facts={NASTY: NASTY})
    nasty = Tags(page)
    assert nasty.tags.count("script") == plain.tags.count("script") == 2
    assert nasty.tags.count("b") == plain.tags.count("b")
    assert data(page)["events"][0][3] == NASTY


def test_the_page_is_well_formed_and_loads_nothing(write: Write) -> None:
    page = write(thumbnails=[(1.0, b"\xff\xd8jpeg")])
    tags = Tags(page)
    assert tags.open == []
    assert all(address.startswith("data:image/png") for address in tags.loaded)
    assert "://" not in page
    assert "default-src 'none'" in page


def test_dollar_signs_in_a_text_stay(write: Write) -> None:
    assert "it costs $5 or ${title}" in write(events=[event(4.0, "it costs $5 or ${title}")])


def test_no_score_and_no_threshold_are_null_and_break_the_line(write: Write) -> None:
    stream = stream_of(4)
    page = write(stream=stream, scores=[np.nan, 0.2, 0.4, np.nan], thresholds=[np.inf, np.inf, 0.3, 0.3])
    times, scores, thresholds = data(page)["curve"]
    assert times == stream.times.tolist()
    assert (scores, thresholds) == ([None, 0.2, 0.4, None], [None, None, 0.3, 0.3])
    assert 'class="curve none"' not in page


def test_a_policy_without_scores_shows_no_curve(write: Write) -> None:
    page = write(scores=[np.nan] * 40, thresholds=[np.inf] * 40, events=[event(4.0, score=None)])
    assert 'class="curve none"' in page


@pytest.mark.parametrize(
    "stream",
    [
        EmbeddingStream(np.zeros(0), np.zeros((0, 0), np.float32), 1.0, 0.5, 0.0),
        stream_of(5, width=0),
        stream_of(1),
    ],
    ids=["no windows", "a model without embeddings", "one window"],
)
def test_a_stream_with_little_in_it_still_makes_a_page(write: Write, stream: EmbeddingStream) -> None:
    page = write(stream=stream, events=[], facts={"windows": str(len(stream))})
    assert data(page)["end"] > data(page)["start"]
    assert ("no embeddings to compare" in page) == (stream.embeddings.size == 0)


def test_segments_and_captions_lie_where_their_events_do(write: Write) -> None:
    events = [event(4.0, "one"), event(9.5, "two"), event(14.0, "one")]
    page = write(events=events, stream=stream_of(39))  # 0 to 20 seconds
    bands = re.findall(r'class="band (c\d)" style="left:([\d.]+)%;width:([\d.]+)%"', page)
    places = [(float(left), float(width)) for _, left, width in bands]
    assert places == [(10.0, 12.5), (37.5, 12.5), (60.0, 12.5)]
    assert runs(page) == [(text, *place) for text, place in zip(("one", "two", "one"), places, strict=True)]
    colours = [colour for colour, *_ in bands]
    assert colours[0] == colours[2] != colours[1]
    captions = re.findall(r'class="time">([\d:.]+)</td>.*?</i>(\w+)</td><td class="time">([\d:.–]+)<', page)
    assert captions[1:] == [("0:09.5", "two", "0:07.5–0:10.0"), ("0:14.0", "one", "0:12.0–0:14.5")]


def runs(page: str) -> list[tuple[str, float, float]]:
    """Return the texts on the timeline with their place and width in percent."""
    found = re.findall(r'class="run[^"]*" style="left:([\d.]+)%;width:([\d.]+)%"><span>(\w+)', page)
    return [(text, float(left), float(width)) for left, width, text in found]


def test_a_text_that_goes_on_over_segments_is_shown_once_over_all_of_them(write: Write) -> None:
    ends = [4.0, 5.0, 6.5, 8.0, 12.0, 14.0]
    texts = ["one", "one", "two", "two", "two", "one"]
    events = [
        Event(end - 0.5, start, end, text, end, 0.5)
        for start, end, text in zip([2.0, *ends], ends, texts, strict=False)
    ]
    events[4] = replace(events[4], start=9.0)  # a gap before it
    page = write(events=events, stream=stream_of(39))  # 0 to 20 seconds
    assert runs(page) == [("one", 10, 15), ("two", 25, 15), ("two", 45, 15), ("one", 60, 10)]
    assert page.count('class="run crowded"') == 2


def test_decisions_at_the_end_of_the_video_are_no_waits(write: Write) -> None:
    online = [event(4.0), event(9.5)]
    assert 'class="marks none"' not in write(events=online)
    assert 'class="marks none"' in write(events=[replace(e, decided=20.0) for e in online])


def test_thumbnails_come_back_as_they_were(write: Write) -> None:
    [[second, jpeg]] = data(write(thumbnails=[(1.5, b"\xff\xd8\x00jpeg")]))["thumbnails"]
    assert (second, base64.b64decode(jpeg)) == (1.5, b"\xff\xd8\x00jpeg")


def test_a_stream_joined_late_begins_where_it_was_joined(write: Write) -> None:
    early = stream_of(20)
    late = EmbeddingStream(early.times + 600, early.embeddings, 1.0, 0.5, early.duration + 600)
    assert data(write(stream=late, events=[event(604.0)]))["start"] == 600.0


def test_an_hour_stays_small(write: Write) -> None:
    stream = stream_of(7199, width=16)
    rng = np.random.default_rng(0)
    page = write(
        stream=stream,
        scores=rng.random(7199).tolist(),
        events=[event(2.8 * i + 2) for i in range(1280)],
    )
    assert len(data(page)["curve"][0]) <= 2000
    assert "<rect" not in page  # outlines would hide the matrix
    assert len(page) < 2_000_000


def test_a_page_that_cannot_be_written_is_one_message(tmp_path: Path, write: Write) -> None:
    (tmp_path / "a.html").mkdir()
    with pytest.raises(UserError, match=r"--report .*a\.html: Is a directory"):
        write()


def test_thinning_keeps_the_extremes_of_every_stretch() -> None:
    scores = np.random.default_rng(3).normal(size=5000)
    scores[1234], scores[4000:4200] = 99.0, np.nan
    kept = thinned(scores, most=100)
    assert len(kept) <= 100
    assert (np.diff(kept) > 0).all()
    for start in range(0, 5000, 100):  # 50 stretches of 100
        part = scores[start : start + 100]
        if np.isnan(part).all():
            continue
        mine = scores[kept[(kept >= start) & (kept < start + 100)]]
        assert (np.nanmin(part), np.nanmax(part)) == (np.nanmin(mine), np.nanmax(mine))
    assert np.isnan(scores[kept]).any()  # the gap stays a gap


def test_short_curves_are_drawn_whole() -> None:
    assert thinned(np.array([1.0, np.nan, 2.0])).tolist() == [0, 1, 2]


def test_the_line_goes_up_with_the_value_and_breaks() -> None:
    drawn = line([0.0, 0.5, 0.75, 1.0], [0.0, 1.0, None, 4.0], height=2.0)
    assert drawn == "M0.00 100.00L500.00 50.00M1000.00 0.00"


@pytest.mark.parametrize(
    ("scores", "thresholds", "expected"),
    [
        ([1.0, 2.0], [np.inf, np.inf], 2.16),
        ([1.0, 2.0], [2.5, np.inf], 2.7),
        ([1.0, 2.0], [100.0, 1.0], 3.24),
        ([np.nan], [np.inf], 1.0),
        ([0.0], [np.inf], 1.0),
    ],
)
def test_the_axis_holds_scores_and_thresholds_unless_these_are_far_off(
    scores: list[float], thresholds: list[float], expected: float
) -> None:
    assert top(np.array(scores), np.array(thresholds)) == pytest.approx(expected)


@pytest.mark.parametrize("stride", [0.5, 0.3])
def test_the_matrix_of_a_short_stream_is_every_cosine(stride: float) -> None:
    stream = stream_of(79, stride=stride)
    cosines = [[float(a @ b) for b in stream.embeddings] for a in stream.embeddings]
    np.testing.assert_allclose(similarity(stream), cosines, atol=1e-6)


def test_the_matrix_of_a_long_stream_is_means_of_blocks() -> None:
    stream = stream_of(120)
    cosines = stream.embeddings @ stream.embeddings.T  # [120, 120]
    blocks = [[cosines[i : i + 6, j : j + 6].mean() for j in range(0, 120, 6)] for i in range(0, 120, 6)]
    np.testing.assert_allclose(similarity(stream, most=20), blocks, atol=1e-6)


def test_a_gap_in_time_is_a_gap_in_the_matrix() -> None:
    matrix = similarity(stream_of(20, gap=3))
    assert matrix.shape == (23, 23)
    assert np.isnan(matrix[10:13]).all()
    assert np.isnan(matrix[:, 10:13]).all()
    assert np.isnan(matrix).sum() == 23 * 23 - 20 * 20


def test_the_picture_runs_from_the_first_colour_to_the_last_and_leaves_gaps_clear() -> None:
    matrix: NDArray[np.float64] = np.array([[0.0, 1.0], [np.nan, 0.5]])
    image = Image.open(io.BytesIO(picture(matrix, 0.0, 1.0))).convert("RGBA")
    pixel = np.asarray(image)
    assert bytes(pixel[0, 0, :3]).hex() == VIRIDIS[0]
    assert bytes(pixel[0, 1, :3]).hex() == VIRIDIS[-1]
    assert bytes(pixel[1, 1, :3]).hex() == VIRIDIS[4]
    assert pixel[:, :, 3].tolist() == [[255, 255], [0, 255]]


def test_a_stream_that_never_changes_has_a_range_of_colours() -> None:
    low, high = limits(np.ones((3, 3)))
    assert low < 1 < high
