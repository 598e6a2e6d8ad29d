"""Curves as SVG: an arm a colour, the band its 95 % interval, a thin line for every seed."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from jepa_vl.errors import UserError

#: Okabe and Ito's, told apart by the colour-blind too; the page has a brighter set for dark screens.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a8a")
DASHES = ("-", "--", "-.", ":")
MARKERS = "os^Dv"
INK = "#1b1f24"
SIZE = (3.5, 2.5)  # inches; a panel of the page


@dataclass(frozen=True)
class Curve:
    """One line of a panel.

    Attributes:
        label: In the legend.
        colour: Position of the arm.
        x: Ascending.
        y: Means.
        low: Lower ends of the intervals; empty for none.
        high: Upper ends.
        seeds: Of each seed, its x and y.
    """

    label: str
    colour: int
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    seeds: Sequence[tuple[Sequence[float], Sequence[float]]] = ()


@dataclass(frozen=True)
class Axes:
    """One panel.

    Attributes:
        title: Above it.
        x: What the horizontal axis counts; it is logarithmic, unless it has steps.
        y: What the vertical one does.
        curves: In the order of the arms.
        level: A dashed line, such as chance, and its name.
        steps: Names of the places 0, 1, 2 … of the horizontal axis; empty where it counts something.
    """

    title: str
    x: str
    y: str
    curves: Sequence[Curve] = field(default_factory=list)
    level: tuple[float, str] | None = None
    steps: Sequence[str] = ()


def require_matplotlib() -> None:
    """Raise `UserError` where it is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UserError("figures need matplotlib: pip install 'jepa-vl[plots]'") from None


def panel(axes: Axes) -> str:
    """Return one panel as SVG without a title, whose colours are those of the page that it stands in."""
    figure = blank(SIZE)
    _draw(figure.subplots(), axes, titled=False)
    return for_page(figure)


def whole(panels: Sequence[Axes], *, columns: int = 3) -> str:
    """Return all panels and a legend as the SVG of a file."""
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure = blank((SIZE[0] * columns, (SIZE[1] + 0.25) * rows + 0.35))
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for place, axes in zip(grid, panels, strict=False):
        _draw(place, axes, titled=True)
    for place in grid[len(panels) :]:
        place.set_axis_off()
    named = {
        c.label: line
        for place, a in zip(grid, panels, strict=False)
        for c, line in zip(a.curves, place.mean_lines, strict=True)
    }
    figure.legend(
        list(named.values()), list(named), loc="outside upper left", ncols=4, frameon=False, fontsize=9
    )
    return for_file(figure)


def blank(size: tuple[float, float]) -> Any:
    """Return a figure of so many inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained")


def for_page(figure: Any) -> str:
    """Return a figure as SVG whose colours are those of the page that it stands in."""
    svg = _svg(figure, transparent=True)
    for place, colour in enumerate(COLOURS):
        svg = svg.replace(colour, f"var(--c{place})")
    return svg.replace(INK, "currentColor")


def for_file(figure: Any) -> str:
    """Return a figure as the SVG of a file."""
    return _svg(figure, transparent=False)


def _draw(axes: Any, content: Axes, *, titled: bool) -> None:
    axes.mean_lines = []
    for curve in content.curves:
        colour = COLOURS[curve.colour % len(COLOURS)]
        dash = DASHES[curve.colour // len(COLOURS) % len(DASHES)]
        for x, y in curve.seeds:
            axes.plot(x, y, color=colour, linewidth=0.6, alpha=0.4, solid_capstyle="round")
        if len(curve.low):
            axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.16, linewidth=0)
        marker = MARKERS[curve.colour % len(MARKERS)]
        axes.mean_lines += axes.plot(
            curve.x, curve.y, color=colour, linestyle=dash, linewidth=1.7, marker=marker, markersize=4,
            label=curve.label,
        )  # fmt: skip
    if content.steps:
        axes.set_xticks(range(len(content.steps)), content.steps)
        axes.margins(x=0.12)
    else:
        axes.set_xscale("log")
    if content.level is not None:
        value, name = content.level
        axes.axhline(value, color=COLOURS[-1], linewidth=0.8, linestyle=(0, (4, 3)))
        axes.annotate(
            name, (0.995, value), xycoords=("axes fraction", "data"), xytext=(0, 2),
            textcoords="offset points",
            ha="right", fontsize=7.5, color=COLOURS[-1],
        )  # fmt: skip
    axes.set_xlabel(content.x, fontsize=9, color=INK)
    axes.set_ylabel(content.y, fontsize=9, color=INK)
    if titled:
        axes.set_title(content.title, fontsize=10, color=INK, loc="left")
    axes.grid(alpha=0.25, color="#888888", linewidth=0.6)
    axes.tick_params(labelsize=8, colors=INK, which="both", length=3)
    axes.tick_params(which="minor", length=1.5)
    if not content.steps:
        _few_ticks(axes)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(INK)
    axes.set_ylim(
        bottom=min(0, axes.get_ylim()[0]) if axes.get_ylim()[0] < 0.25 * axes.get_ylim()[1] else None
    )


def _few_ticks(axes: Any) -> None:
    """Name powers of ten, and 2 and 5 between them where there are few."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    low, high = axes.get_xlim()
    subs = (1.0,) if high / low > 300 else (1.0, 2.0, 5.0) if high / low < 30 else (1.0, 3.0)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(low, high)


def _svg(figure: Any, *, transparent: bool) -> str:
    """Text stays text; no date and no random names, so that the same curves are the same file."""
    import matplotlib as mpl

    out = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "jepa-vl"}):
        figure.savefig(out, format="svg", transparent=transparent, metadata={"Date": None})
    svg = out.getvalue()
    if not transparent:
        return svg
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    return svg.replace("'DejaVu Sans'", "system-ui").strip()
