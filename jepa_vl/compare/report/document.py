"""What a report is made of, before it becomes HTML or Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Tone = Literal["", "good", "bad", "dim"]


@dataclass(frozen=True)
class Cell:
    """Text of a table with a tone: whether what it says is good for the arm."""

    text: str
    tone: Tone = ""


@dataclass(frozen=True)
class Text:
    """A paragraph; ``**so**`` is strong. ``dim`` is for what is only to be looked up."""

    text: str
    dim: bool = False


@dataclass(frozen=True)
class Items:
    """A list of paragraphs."""

    texts: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Rows of text.

    Attributes:
        headings: Of the columns.
        rows: Texts, or cells with a tone.
        words: The first so many columns are words; numbers stand to the right.
        title: Above it.
        folded: Whether a page shows it only when asked.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    words: int = 1
    title: str = ""
    folded: bool = False


@dataclass(frozen=True)
class Panel:
    """A small figure: its heading, its drawing, and what it shows for those who cannot see it."""

    title: str
    svg: str
    alt: str


@dataclass(frozen=True)
class Figures:
    """Panels side by side with one legend.

    Attributes:
        name: Of the file that Markdown shows.
        panels: In order.
        legend: Texts with the position of their colour.
        caption: Below.
        whole: All panels in one drawing with its legend, for a file.
        columns: Panels in a row, where there is room.
    """

    name: str
    panels: Sequence[Panel]
    legend: Sequence[tuple[str, int]]
    caption: str
    whole: str = ""
    columns: int = 3


@dataclass(frozen=True)
class Shown:
    """One sample with what every arm said of it.

    Attributes:
        id: Of the sample.
        query: What was asked; empty for none.
        expected: The right answer.
        said: Name of the arm, what it said, and whether that is the very text expected.
        frames: PNG files.
    """

    id: str
    query: str
    expected: str
    said: Sequence[tuple[str, str, bool]]
    frames: Sequence[bytes] = ()


@dataclass(frozen=True)
class Samples:
    """Samples of a task."""

    title: str
    shown: Sequence[Shown]


Block = Text | Items | Table | Figures | Samples


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    about: str
    sections: Sequence[Section] = field(default_factory=list)


def text_of(cell: str | Cell) -> str:
    """Return the text of a cell."""
    return cell.text if isinstance(cell, Cell) else cell
