"""``python -m jepa_vl.streaming.beside RUN TWIN``: selective decoding beside a text at every uniform step."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from jepa_vl.errors import UserError
from jepa_vl.results import Outcomes
from jepa_vl.results.outcomes import SetOutcomes
from jepa_vl.streaming.curves import load
from jepa_vl.suites.compare import Difference, paired_difference

TASK, UNIFORM = "streaming", "uniform"


@dataclass(frozen=True)
class Beside:
    """A policy at a rate.

    Attributes:
        label: Of the policy, with its model.
        rate: Decodes a second, asked for.
        cider: Mean CIDEr of annotations with the nearest text, from 0 to 10.
        difference: To generating a text uniformly at the reference rate, on the same annotations; the
            interval is of drawing whole streams. None for that row itself.
        seconds: Computing for a minute of stream, one window at a time; None where it was not measured.
    """

    label: str
    rate: float
    cider: float
    difference: Difference | None
    seconds: float | None


def beside(
    record: Mapping[str, Any], scored: SetOutcomes, twin: Mapping[str, Any], twin_scored: SetOutcomes
) -> list[Beside]:
    """Compare every policy of a run with what an objective that only generates says at a fixed rate.

    Rates are those that ``outcomes.json`` has, the shown ones of the task. Policies embed every window,
    but ``uniform`` embeds only the windows that it decodes, and the twin reads only those.

    Args:
        record: ``streaming.json`` of one sample set.
        scored: ``outcomes.json`` of the same set.
        twin: ``streaming.json`` of the generating objective.
        twin_scored: Its outcomes.

    Raises:
        UserError: The two were not run on the same streams at the same rates.
    """
    for key in ("streams", "annotations", "seconds", "reference_rate"):
        if record[key] != twin[key]:
            raise UserError(
                f"the two runs are not of the same streams: {key} is {record[key]:g} and {twin[key]:g}; test "
                "both on the same data"
            )
    rate = record["reference_rate"]
    against = _values(twin_scored, UNIFORM, rate)
    if against is None:
        raise UserError(
            f"the generating run has no outcomes of '{UNIFORM}' at {rate:g} Hz among its shown rates"
        )
    found = []
    for model, of, outcomes in (("twin", twin, twin_scored), ("", record, scored)):
        for policy in of["policies"]:
            if policy["bound"] or (model and policy["label"] != UNIFORM):
                continue
            for at in policy["at"]:
                values = _values(outcomes, policy["label"], at["rate"])
                if values is None:
                    continue
                itself = values is against
                found.append(
                    Beside(
                        label=f"{model} {policy['label']}".strip(),
                        rate=at["rate"],
                        cider=at["CIDEr"]["value"],
                        difference=None if itself else paired_difference(values, against, outcomes.episodes),
                        seconds=_seconds(of, policy["label"], at),
                    )
                )
    return found


def _values(scored: SetOutcomes, label: str, rate: float) -> Mapping[str, float] | None:
    return scored.tasks.get(TASK, {}).get(f"{label} @ {rate:g} Hz/CIDEr")


def _seconds(of: Mapping[str, Any], label: str, at: Mapping[str, Any]) -> float | None:
    window, decode = of.get("seconds_per_window"), of.get("seconds_per_decode")
    if window is None or decode is None:
        return None
    embedded = at["decodes"] if label == UNIFORM else of["windows"]
    return 60 * (embedded * window + at["decodes"] * decode) / of["seconds"]


def table(rows: Sequence[Beside]) -> Table:
    """Lay the rows out for a terminal, CIDEr × 100."""
    made = Table(
        "policy", "Hz", "CIDEr", "minus the twin's (95 %)", "computing, s a minute of stream", box=None
    )
    for row in rows:
        found = row.difference
        said = (
            ""
            if found is None
            else f"{100 * found.value:+.1f} ({100 * found.low:+.1f}, {100 * found.high:+.1f})"
        )
        cost = "" if row.seconds is None else f"{row.seconds:.2f}"
        made.add_row(row.label, f"{row.rate:g}", f"{100 * row.cider:.1f}", said, cost)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m jepa_vl.streaming.beside", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a run that embeds, tested with the task streaming")
    parser.add_argument(
        "twin", type=Path, help="folder of a run that only generates, tested on the same data"
    )
    parser.add_argument("--set", dest="sample_set", default="test", help="name of the sample set")
    options = parser.parse_args(argv)
    try:
        read = [
            (load(folder, options.sample_set), _outcomes(folder, options.sample_set))
            for folder in (options.run, options.twin)
        ]
        rows = beside(*read[0], *read[1])
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_status
    Console(highlight=False, width=None if sys.stdout.isatty() else 120).print(table(rows))
    return 0


def _outcomes(folder: Path, sample_set: str) -> SetOutcomes:
    path = folder / "outcomes.json"
    found = Outcomes.load(path)
    if sample_set not in found.sets:
        raise UserError(f"{path}: has no set '{sample_set}'; it has {sorted(found.sets)}")
    return found.sets[sample_set]


if __name__ == "__main__":
    sys.exit(main())
