"""`write_report`: one HTML file that shows a whole stream, and needs no other file and no network."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from jepa_vl.errors import UserError
from jepa_vl.streaming.base import EmbeddingStream
from jepa_vl.streaming.event import Event
from jepa_vl.streaming.report.curve import line, numbers, thinned, top
from jepa_vl.streaming.report.similarity import VIRIDIS, extent, limits, picture, similarity
from jepa_vl.use.clock import clock

COLOURS = 7  # of segments, --c0 to --c6 in page.css
TOUCHING = 1e-3  # seconds between segments that follow each other, up to rounding
OUTLINES = 150  # segments that can still be told apart in the matrix


def write_report(
    path: Path,
    *,
    stream: EmbeddingStream,
    events: Sequence[Event],
    scores: Sequence[float],
    thresholds: Sequence[float],
    thumbnails: Sequence[tuple[float, bytes]],
    title: str,
    facts: Mapping[str, str],
) -> None:
    """Write the page of a stream.

    Args:
        path: The HTML file; one that is there already is written anew.
        stream: n windows; their embeddings may have no numbers (``[n, 0]``), then there is no matrix.
        events: What was said, in order of time.
        scores: The trigger's, ``n``; NaN where there is none.
        thresholds: What the scores were compared with, ``n``; infinite where there is none.
        thumbnails: Seconds and JPEG files, in order of time.
        title: Name or path of the video.
        facts: What is to be known of the run, in order: name → text.

    Raises:
        UserError: The file cannot be written.
    """
    page = _page(
        stream=stream,
        events=events,
        scores=np.asarray(scores, dtype=np.float64),
        thresholds=np.asarray(thresholds, dtype=np.float64),
        thumbnails=thumbnails,
        title=title,
        facts=facts,
    )
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--report {path}: {error.strerror}") from error


def _page(
    *,
    stream: EmbeddingStream,
    events: Sequence[Event],
    scores: np.ndarray[Any, np.dtype[np.float64]],
    thresholds: np.ndarray[Any, np.dtype[np.float64]],
    thumbnails: Sequence[tuple[float, bytes]],
    title: str,
    facts: Mapping[str, str],
) -> str:
    start, end = _extent(stream, events)
    drawn = thinned(scores)
    times = stream.times[drawn]
    height = top(scores, thresholds)
    known, held = numbers(scores[drawn]), numbers(thresholds[drawn])
    shares = ((times - start) / (end - start)).tolist()
    colours: dict[str, int] = {}  # the same text has the same colour
    for event in events:
        colours.setdefault(event.text, len(colours) % COLOURS)
    content = {
        "start": start,
        "end": end,
        "stride": stream.stride,
        "events": [[e.time, e.start, e.end, e.text, e.decided, e.score] for e in events],
        "curve": [times.round(3).tolist(), known, held],
        "thumbnails": [[second, base64.b64encode(jpeg).decode()] for second, jpeg in thumbnails],
    }
    name = title.rstrip("/").rsplit("/", 1)[-1] or title
    return Template(_file("page.html")).substitute(
        title=escape(name),
        source=f'<p class="about">{escape(title)}</p>' if name != title else "",
        style=_file("page.css"),
        script=_file("page.js"),
        facts="\n".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in facts.items()),
        height=f"{height:.2g}",
        curve_class="" if any(value is not None for value in known) else "none",
        score=line(shares, known, height=height),
        threshold=line(shares, held, height=height),
        bands="\n".join(_band(e, colours[e.text], start, end) for e in events),
        runs="\n".join(_run(run, start, end) for run in _runs(events)),
        # what looks at the whole video first decides everything at its end: lines to there say nothing
        wait_class="none" if len(events) > 1 and len({e.decided for e in events}) == 1 else "",
        marks="\n".join(_mark(e, start, end) for e in events),
        matrix=_matrix(stream, events, start, end),
        captions="\n".join(_caption(e, colours[e.text]) for e in events),
        number=f"{len(events)} text{'' if len(events) == 1 else 's'}",
        data=_json(content),
    )


def _extent(stream: EmbeddingStream, events: Sequence[Event]) -> tuple[float, float]:
    """Return where the time axis begins and ends: a stream that is joined late does not begin at 0."""
    half = stream.window / 2
    begins = [float(stream.times[0]) - half] if len(stream) else []
    ends = [float(stream.times[-1]) + half] if len(stream) else []
    start = min([*begins, *(event.time for event in events)], default=0.0)
    end = max([stream.duration, *ends, *(event.decided for event in events)])
    return start, max(end, start + stream.stride)


def _file(name: str) -> str:
    return (files("jepa_vl.streaming.report") / name).read_text(encoding="utf-8")


def _json(content: Any) -> str:
    """Return JSON that cannot end the script that it stands in."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _percent(second: float, start: float, end: float) -> str:
    return f"{100 * min(max((second - start) / (end - start), 0), 1):.4f}%"


def _stretch(first: float, last: float, start: float, end: float) -> str:
    """Return the style of what stands for these seconds on the time axis."""
    width = (min(last, end) - max(first, start)) / (end - start)
    return f"left:{_percent(first, start, end)};width:{100 * max(width, 0):.4f}%"


def _band(event: Event, colour: int, start: float, end: float) -> str:
    return f'<div class="band c{colour}" style="{_stretch(event.start, event.end, start, end)}"></div>'


def _runs(events: Sequence[Event]) -> list[list[Event]]:
    """Return stretches of segments that follow each other with one text: it is shown once."""
    runs: list[list[Event]] = []
    for event in events:
        last = runs[-1][-1] if runs else None
        if last is not None and last.text == event.text and event.start <= last.end + TOUCHING:
            runs[-1].append(event)
        else:
            runs.append([event])
    return runs


def _run(events: Sequence[Event], start: float, end: float) -> str:
    style = _stretch(events[0].start, events[-1].end, start, end)
    crowded = " crowded" if len(events) > 1 else ""  # edges of segments lie behind the text
    return f'<div class="run{crowded}" style="{style}"><span>{escape(events[0].text)}</span></div>'


def _mark(event: Event, start: float, end: float) -> str:
    """The moment that a text is about, and a line from there to where it was decided."""
    first, last = sorted((event.time, event.decided))
    return (
        f'<div class="wait" style="left:{_percent(first, start, end)};'
        f'width:{100 * (last - first) / (end - start):.4f}%"></div>'
        f'<div class="mark" style="left:{_percent(event.time, start, end)}"></div>'
    )


def _matrix(stream: EmbeddingStream, events: Sequence[Event], start: float, end: float) -> str:
    if len(stream) == 0 or stream.embeddings.shape[1] == 0:
        return '<p class="about">This model has no embeddings to compare.</p>'
    cosines = similarity(stream)
    first, last = extent(stream)
    side = f"{100 * (last - first) / (end - start):.4f}%"
    place = f"left:{_percent(first, start, end)};top:{_percent(first, start, end)};width:{side};height:{side}"
    low, high = limits(cosines)
    data = base64.b64encode(picture(cosines, low, high)).decode()
    outlines = ""
    if len(events) <= OUTLINES:
        outlines = "".join(_square(event, start, end) for event in events)
    about = "squares: the segments" if outlines else "too many segments to outline"
    return f"""\
<div class="square">
<img alt="cosine similarity of all pairs of windows" style="{place}" src="data:image/png;base64,{data}">
<svg viewBox="0 0 1000 1000" preserveAspectRatio="none">{outlines}</svg>
<i class="cross across"></i><i class="cross down"></i>
</div>
<div class="ticks below"></div>
<div class="scale"><span>{low:.2f}</span>
<i style="background:linear-gradient(to right, {", ".join("#" + c for c in VIRIDIS)})"></i>
<span>{high:.2f}</span><span class="about">cosine · {about}</span></div>"""


def _square(event: Event, start: float, end: float) -> str:
    first, last = (1000 * min(max((s - start) / (end - start), 0), 1) for s in (event.start, event.end))
    size = f'x="{first:.2f}" y="{first:.2f}" width="{last - first:.2f}" height="{last - first:.2f}"'
    return f'<rect class="under" {size}/><rect {size}/>'


def _caption(event: Event, colour: int) -> str:
    score = "" if event.score is None or not np.isfinite(event.score) else f"{event.score:.3f}"
    return (
        f'<tr><td class="picture"></td>'
        f'<td class="time">{clock(event.time)}</td>'
        f'<td class="text"><i class="c{colour}"></i>{escape(event.text)}</td>'
        f'<td class="time">{clock(event.start)}–{clock(event.end)}</td>'
        f'<td class="time">{score}</td><td class="time">{event.latency:+.1f} s</td></tr>'
    )
