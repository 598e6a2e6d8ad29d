"""`write_report`: the page, the Markdown, the numbers and the TensorBoard curves of a comparison."""

from __future__ import annotations

import functools
import logging
from pathlib import Path

from jepa_vl.compare.plan import Comparison
from jepa_vl.compare.report.content import content, figures_folder
from jepa_vl.compare.report.document import Document, Figures
from jepa_vl.compare.report.figures import require_matplotlib
from jepa_vl.compare.report.html import html
from jepa_vl.compare.report.markdown import markdown
from jepa_vl.compare.report.pictures import frames_of
from jepa_vl.compare.report.tensorboard import write_curves
from jepa_vl.compare.statistics.gather import gather
from jepa_vl.compare.statistics.summarise import summarise
from jepa_vl.errors import UserError

log = logging.getLogger(__name__)


def write_report(comparison: Comparison, folder: Path) -> Path:
    """Write ``summary.json``, ``curves/``, ``report.md`` with ``figures/``, and ``report.html``.

    Args:
        comparison: The plan.
        folder: See `jepa_vl.compare.records.comparison_folder`.

    Returns:
        The page; ``report.md`` where matplotlib is not installed, with a warning that says so.

    Raises:
        UserError: A file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}") from error
    gathered = gather(comparison, folder)
    summary = summarise(gathered)
    drawn = True
    try:
        require_matplotlib()
    except UserError as error:
        log.warning("report.md and summary.json are written, report.html is not: %s", error)
        drawn = False
    document = content(gathered, summary, figures=drawn, frames=functools.partial(frames_of, comparison))
    page = folder / ("report.html" if drawn else "report.md")
    try:
        summary.save(folder / "summary.json")
        write_curves(summary, folder / "curves")
        (folder / "report.md").write_text(markdown(document, _figures(document, folder)), encoding="utf-8")
        if drawn:
            page.write_text(html(document), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{error.filename or folder}: {error.strerror}") from error
    return page


def _figures(document: Document, folder: Path) -> dict[str, str]:
    """Write the figures of the Markdown; returns name → path from it."""
    paths = {}
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Figures) and block.whole:
                path = figures_folder(folder) / f"{block.name}.svg"
                path.parent.mkdir(exist_ok=True)
                path.write_text(block.whole, encoding="utf-8")
                paths[block.name] = f"{path.parent.name}/{path.name}"
    return paths
