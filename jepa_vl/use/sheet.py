"""A contact sheet: one HTML file that shows what a search found, with its thumbnails in it."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

from PIL import Image

from jepa_vl.data.video import MediaError, read_clip
from jepa_vl.use.clock import clock
from jepa_vl.use.searching import Hit
from jepa_vl.vision.base import Preprocessing

FRAMES = 3
THUMBNAIL = Preprocessing(size=(144, 192), num_frames=FRAMES, resize_mode="longest")
STYLE = """\
:root { color-scheme: light dark; --line: #8884; --dim: #777; --bar: #3b82f6; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; padding: 0 1.25rem; max-width: 1280px; }
h1 { font-size: 1.35rem; margin: 0; }
p.about { color: var(--dim); margin: .25rem 0 1.5rem; }
ol { list-style: none; padding: 0; display: grid; gap: 1rem;
     grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); }
li { border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
.frames { display: flex; background: #000; }
.frames img { width: 0; flex: 1; aspect-ratio: 4 / 3; object-fit: contain; min-height: 0; }
.frames span { color: #bbb; padding: 2rem 1rem; flex: 1; text-align: center; }
.text { padding: .6rem .8rem .8rem; }
.file { font-weight: 600; overflow-wrap: anywhere; color: inherit; text-decoration: none; }
.file:hover { text-decoration: underline; }
.facts { display: flex; justify-content: space-between; color: var(--dim); font-size: .87rem; }
.bar { height: 3px; background: var(--line); margin-top: .5rem; border-radius: 2px; }
.bar div { height: 100%; background: var(--bar); border-radius: 2px; }
"""


def contact_sheet(text: str, hits: Sequence[Hit], *, about: str = "") -> str:
    """Return an HTML page that needs no other file.

    Args:
        text: What was looked for.
        hits: What was found, best first.
        about: A line about where it was looked for.
    """
    cards = "\n".join(_card(number, hit) for number, hit in enumerate(hits, start=1))
    found = f"{len(hits)} hit{'' if len(hits) == 1 else 's'}"
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(text)}</title>
<style>
{STYLE}</style>
</head>
<body>
<h1>{escape(text)}</h1>
<p class="about">{escape(" · ".join(part for part in (found, about) if part))}</p>
<ol>
{cards}
</ol>
</body>
</html>
"""


def when(hit: Hit) -> str:
    """Return where in its file a hit lies."""
    if hit.start is None or hit.end is None:
        return "image"
    return f"{clock(hit.start)} – {clock(hit.end)}"


def _card(number: int, hit: Hit) -> str:
    address = Path(hit.file).absolute().as_uri()
    if hit.start is not None:
        address += f"#t={hit.start:g},{hit.end:g}"  # browsers begin to play there
    name = escape(f"{number}. {Path(hit.file).name}")
    return f"""\
<li>
<div class="frames">{_frames(hit)}</div>
<div class="text">
<a class="file" href="{escape(address)}" title="{escape(hit.file)}">{name}</a>
<div class="facts"><span>{when(hit)}</span><span>{hit.score:.3f}</span></div>
<div class="bar"><div style="width:{100 * min(max(hit.score, 0), 1):.0f}%"></div></div>
</div>
</li>"""


def _frames(hit: Hit) -> str:
    """A few frames of the hit as images within the page; why there are none if they cannot be read."""
    try:
        frames = read_clip(hit.file, THUMBNAIL, start=hit.start, end=hit.end)  # [T, C, H, W]
    except MediaError as error:
        return f"<span>{escape(error.reason)}</span>"
    shown = frames if hit.start is not None else frames[:1]
    images = []
    for frame in shown:
        file = io.BytesIO()
        Image.fromarray(frame.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=82)
        data = base64.b64encode(file.getvalue()).decode()
        images.append(f'<img alt="" src="data:image/jpeg;base64,{data}">')
    return "".join(images)
