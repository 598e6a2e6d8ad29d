"""A report as one HTML file that needs no other file and no network."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template

from jepa_vl.compare.report.document import (
    Block,
    Cell,
    Document,
    Figures,
    Items,
    Samples,
    Section,
    Shown,
    Table,
    Text,
)

STRONG = re.compile(r"\*\*(.+?)\*\*")


def html(document: Document) -> str:
    """Return the page."""
    here = files("jepa_vl.compare.report")
    return Template((here / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(document.title),
        about=escape(document.about),
        style=(here / "page.css").read_text(encoding="utf-8"),
        contents="".join(
            f'<a href="#{_anchor(section.title)}">{escape(section.title)}</a>'
            for section in document.sections
            if section.title
        ),
        body="\n".join(_section(section) for section in document.sections),
    )


def _anchor(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower()).strip("-")


def _section(section: Section) -> str:
    heading = f'<h2 id="{_anchor(section.title)}">{escape(section.title)}</h2>' if section.title else ""
    kind = "" if section.title else ' class="finding"'
    return f"<section{kind}>{heading}\n" + "\n".join(map(_block, section.blocks)) + "\n</section>"


def _block(block: Block) -> str:
    match block:
        case Text():
            return _tag("p", "about" if block.dim else "", _marked(block.text))
        case Items():
            return "<ul>" + "".join(f"<li>{_marked(text)}</li>" for text in block.texts) + "</ul>"
        case Table():
            return _table(block)
        case Figures():
            return _figures(block)
        case Samples():
            return _samples(block)


def _marked(text: str) -> str:
    return STRONG.sub(r"<strong>\1</strong>", escape(text))


def _tag(name: str, kind: str, content: str) -> str:
    return f'<{name} class="{kind}">{content}</{name}>' if kind else f"<{name}>{content}</{name}>"


def _table(table: Table) -> str:
    head = "".join(_th(heading, i < table.words) for i, heading in enumerate(table.headings))
    body = "\n".join(
        "<tr>" + "".join(_td(cell, i < table.words) for i, cell in enumerate(row)) + "</tr>"
        for row in table.rows
    )
    title = _marked(table.title)
    grid = f'<div class="rows"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'
    if table.folded:
        return f"<details><summary>{title}</summary>{grid}</details>"
    return (f"<h3>{title}</h3>" if title else "") + grid


def _th(text: str, word: bool) -> str:
    return _tag("th", "word" if word else "", escape(text))


def _td(cell: str | Cell, word: bool) -> str:
    text, tone = (cell.text, cell.tone) if isinstance(cell, Cell) else (cell, "")
    kinds = " ".join(filter(None, ("word" if word else "", tone)))
    return _tag("td", kinds, _marked(text))


def _figures(figures: Figures) -> str:
    legend = "".join(
        f'<span><i class="c{colour}"></i>{escape(text)}</span>' for text, colour in figures.legend
    )
    panels = "\n".join(
        f'<div class="panel" role="img" aria-label="{escape(panel.alt)}">'
        f"{f'<h4>{escape(panel.title)}</h4>' if panel.title else ''}{panel.svg}</div>"
        for panel in figures.panels
    )
    return (
        f'<figure><p class="legend">{legend}</p><div class="panels in{figures.columns}">{panels}</div>'
        f"<figcaption>{_marked(figures.caption)}</figcaption></figure>"
    )


def _samples(samples: Samples) -> str:
    cards = "\n".join(_card(shown) for shown in samples.shown)
    return f'<h3>{escape(samples.title)}</h3><div class="cards">{cards}</div>'


def _card(shown: Shown) -> str:
    query = f'<p class="about">{escape(shown.query)}</p>' if shown.query else ""
    said = ""
    for arm, text, right in shown.said:
        told = _tag("dd", "good" if right else "", escape(text) or "<i>nothing</i>")
        said += f"<div><dt>{escape(arm)}</dt>{told}</div>"
    return (
        f'<article title="{escape(shown.id)}">{_strip(shown.frames)}{query}'
        f"<dl><div><dt>expected</dt><dd>{escape(shown.expected)}</dd></div>{said}</dl></article>"
    )


def _strip(frames: Sequence[bytes]) -> str:
    if not frames:
        return ""
    pictures = "".join(
        f'<img alt="" src="data:image/png;base64,{base64.b64encode(png).decode()}">' for png in frames
    )
    return f'<div class="strip">{pictures}</div>'
