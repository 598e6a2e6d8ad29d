"""Changes as a forest plot: a row for each arm, a column for each metric, the paper's change beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jepa_vl.compare.report.figures import COLOURS, INK, blank, for_file, for_page

OURS, PAPER = 0, 1  # places of their colours
ROW, COLUMN, LABELS, FRAME = 0.26, 2.3, 3.4, 0.9  # inches
FAR = 2.5  # times as far out as the next row: shown by an arrow at the edge, and the others by what they are


@dataclass(frozen=True)
class Change:
    """What an arm changes, in the unit that is printed.

    Attributes:
        value: Ours; None where it is not known.
        low: Lower end of its interval; None where there is none.
        high: Upper end.
        seeds: Ours, seed by seed.
        told: Whether the interval leaves out 0.
        paper: The paper's; None where it has none.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    seeds: Sequence[float] = ()
    told: bool = False
    paper: float | None = None

    def reach(self, sign: int) -> float:
        """How far ours goes to one side of 0: -1 the left one, 1 the right one."""
        ends = (self.value, self.low, self.high, *self.seeds)
        return max((sign * end for end in ends if end is not None), default=0.0)


@dataclass(frozen=True)
class Column:
    """One metric.

    Attributes:
        title: Above it.
        unit: Below it.
        changes: One for each row of the figure.
    """

    title: str
    unit: str
    changes: Sequence[Change]

    def edge(self, sign: int) -> float | None:
        """Where a side ends that a few rows would make too wide for the others; None where none does."""
        reach = sorted(change.reach(sign) for change in self.changes)
        for near, far in zip(reach[len(reach) // 2 :], reach[len(reach) // 2 + 1 :], strict=False):
            if far > FAR * near > 0:
                papers = (sign * change.paper for change in self.changes if change.paper is not None)
                return sign * 1.15 * max(near, *papers)
        return None


def panel(rows: Sequence[str], columns: Sequence[Column]) -> str:
    """Return the plot as SVG whose colours are those of the page that it stands in."""
    return for_page(_drawn(rows, columns))


def whole(rows: Sequence[str], columns: Sequence[Column], legend: Sequence[str]) -> str:
    """Return the plot and its legend, the words for ours and for the paper's, as the SVG of a file."""
    figure = _drawn(rows, columns)
    marks = [
        figure.axes[0].plot([], [], color=COLOURS[place], marker=marker, linestyle="none")[0]
        for place, marker in ((OURS, "o"), (PAPER, "D"))
    ]
    figure.legend(marks, legend, loc="outside upper left", ncols=2, frameon=False, fontsize=9)
    return for_file(figure)


def _drawn(rows: Sequence[str], columns: Sequence[Column]) -> Any:
    figure = blank((LABELS + COLUMN * len(columns), FRAME + ROW * len(rows)))
    figure.subplots(1, len(columns), sharey=True)
    for axes, column in zip(figure.axes, columns, strict=True):
        _draw(axes, column)
        axes.set_yticks(range(len(rows)), rows)
        axes.tick_params(axis="y", length=0, labelsize=8.5)
    figure.axes[0].set_ylim(len(rows) - 0.5, -0.5)  # shared by all
    return figure


def _draw(axes: Any, column: Column) -> None:
    axes.axvline(0, color=COLOURS[-1], linewidth=0.8)
    edges = {sign: edge for sign in (-1, 1) if (edge := column.edge(sign)) is not None}
    ours, papers = ({"color": COLOURS[place], "linestyle": "none"} for place in (OURS, PAPER))
    for row, change in enumerate(column.changes):
        if change.paper is not None:
            axes.plot(change.paper, row, marker="D", markersize=4.5, zorder=3, **papers)
        if change.value is None:
            continue
        outside = next((sign for sign, edge in edges.items() if sign * change.value > sign * edge), 0)
        if outside:
            _point_to(axes, change.value, outside, edges[outside], row)
            continue
        axes.plot(change.seeds, [row] * len(change.seeds), marker="|", markersize=6, alpha=0.45, **ours)
        if change.low is not None and change.high is not None:
            axes.hlines(row, change.low, change.high, color=COLOURS[OURS], linewidth=1.7)
        fill = COLOURS[OURS] if change.told else "none"
        axes.plot(change.value, row, marker="o", markersize=5.5, markerfacecolor=fill, zorder=4, **ours)
    left, right = axes.get_xlim()
    axes.set_xlim(edges.get(-1, left), edges.get(1, right))
    axes.set_title(column.title, fontsize=9.5, color=INK, loc="left")
    axes.set_xlabel(column.unit, fontsize=9, color=INK)
    axes.grid(axis="x", alpha=0.25, color="#888888", linewidth=0.6)
    axes.tick_params(labelsize=8, colors=INK, length=3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(INK)


def _point_to(axes: Any, value: float, sign: int, edge: float, row: int) -> None:
    """Draw an arrow at the edge, and the value that lies beyond it."""
    axes.plot(edge, row, marker="<" if sign < 0 else ">", color=COLOURS[OURS], markersize=6, clip_on=False)
    axes.annotate(
        f"{value:+.1f}".replace("-", "\N{MINUS SIGN}"), (edge, row), (-7 * sign, 0),
        textcoords="offset points", ha="left" if sign < 0 else "right", va="center", fontsize=8, color=INK,
    )  # fmt: skip
