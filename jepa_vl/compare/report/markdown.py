"""A report as Markdown, for the docs: its figures are files beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from jepa_vl.compare.report.document import (
    Block,
    Document,
    Figures,
    Items,
    Samples,
    Section,
    Table,
    Text,
    text_of,
)


def markdown(document: Document, figures: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        document: What it says.
        figures: Name → path of its file from the page.
    """
    parts = [f"# {document.title}", document.about]
    for section in document.sections:
        parts += list(_section(section, figures))
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(section: Section, figures: Mapping[str, str]) -> Iterator[str]:
    if section.title:
        yield f"## {section.title}"
    for block in section.blocks:
        yield _block(block, figures)


def _block(block: Block, figures: Mapping[str, str]) -> str:
    match block:
        case Text():
            return block.text
        case Items():
            return "\n".join(f"- {text}" for text in block.texts)
        case Table():
            return _table(block)
        case Figures():
            path = figures.get(block.name)
            return block.caption if path is None else f"![{block.caption}]({path})\n\n{block.caption}"
        case Samples():
            return _samples(block)


def _table(table: Table) -> str:
    rules = ["---" if i < table.words else "---:" for i in range(len(table.headings))]
    rows = [[text_of(cell) for cell in row] for row in table.rows]
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in [table.headings, rules, *rows]]
    return (f"**{table.title}**\n\n" if table.title else "") + "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _samples(samples: Samples) -> str:
    arms = list(dict.fromkeys(arm for shown in samples.shown for arm, _, _ in shown.said))
    rows = []
    for shown in samples.shown:
        said = {arm: text for arm, text, _ in shown.said}
        rows.append([shown.id, shown.query, shown.expected, *(said.get(arm, "") for arm in arms)])
    words = 3 + len(arms)
    return _table(Table(["sample", "asked", "expected", *arms], rows, words=words, title=samples.title))
