"""Rows of ``cost.json``: what inference costs, by arm, and the table of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, RootModel
from rich import box
from rich.table import Table

from jepa_vl.whole_file import write_whole

#: In the order in which they are done.
Part = Literal[
    "vision encoder", "query", "predictor", "prefix", "decoding", "decoder", "candidates", "scoring"
]


class CostRow(BaseModel):
    """What one part costs a sample.

    Attributes:
        part: ``vision encoder``: frames → tokens. ``query``: text → token ids. ``predictor`` (of JEPA) and
            ``prefix`` (of the twin): tokens and query → embedding, or keys, values and the first state; what
            embeds the query is part of it. ``decoding``: that → a text. ``decoder``: the same by a decoder
            that was trained on the run. ``candidates``: embedding the texts
            to choose from, which JEPA does once for all samples: it is not divided by the batch.
            ``scoring``: prediction and candidates → scores; a twin reads every candidate.
        batch: Samples at once.
        frames: Of each sample; None where they do not matter.
        candidates: Number of texts to choose from.
        milliseconds: A sample, except for ``candidates``: median of the runs.
        flops: Operations, of the same.
        runs: How many were measured.
        note: What else there is to know.
    """

    model_config = ConfigDict(extra="forbid")

    part: Part
    batch: int
    frames: int | None = None
    candidates: int | None = None
    milliseconds: float
    flops: float
    runs: int
    note: str = ""


class ArmCosts(BaseModel):
    """An arm's rows.

    Attributes:
        rows: See `CostRow`.
        run: Name and key of the run that was measured.
        machine: See `jepa_vl.results.run_info.machine`; ``threads`` of torch and the ``device`` besides.
    """

    model_config = ConfigDict(extra="forbid")

    rows: list[CostRow]
    run: str = ""
    machine: dict[str, Any] = Field(default_factory=dict)


class InferenceCosts(RootModel[dict[str, ArmCosts]]):
    """``cost.json``: arm → its rows."""

    def save(self, path: Path) -> None:
        """Write the file."""
        write_whole(path, self.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file."""
        return cls.model_validate_json(path.read_text(encoding="utf-8"))


def cost_table(costs: InferenceCosts) -> Table:
    """Return milliseconds and operations a sample: a row a part and size, two columns an arm."""
    table = Table(title="\ninference", title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)
    for heading in ("part", "batch", "frames", "candidates"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    for arm in costs.root:
        table.add_column(f"{arm}\nms", justify="right")
        table.add_column(f"{arm}\nMFLOPs", justify="right")
    every = [row for of_arm in costs.root.values() for row in of_arm.rows]
    for key in dict.fromkeys(_key(row) for row in every):
        cells = [part for of_arm in costs.root.values() for part in _cells(of_arm.rows, key)]
        table.add_row(*("" if word is None else str(word) for word in key), *cells)
    return table


def _key(row: CostRow) -> tuple[str, int, int | None, int | None]:
    part = "predictor or prefix" if row.part in ("predictor", "prefix") else row.part
    return part, row.batch, row.frames, row.candidates


def _cells(rows: Sequence[CostRow], key: tuple[str, int, int | None, int | None]) -> tuple[str, str]:
    row = next((row for row in rows if _key(row) == key), None)
    return ("", "") if row is None else (f"{row.milliseconds:.3g}", f"{row.flops / 1e6:.3g}")
