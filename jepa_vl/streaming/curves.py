"""``python -m jepa_vl.streaming.curves RUN``: CIDEr over the decoding interval, beside the paper's Fig 4."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jepa_vl.errors import UserError

#: Seconds between decodes, and mean CIDEr × 100 at each, read off the paper's Fig 4 (EgoExo4D, ±0.5).
PAPER_INTERVALS = (0.5, 1, 2, 2.85, 5, 6.7, 10, 13.3, 20, 50, 100)
PAPER: dict[str, tuple[float, ...]] = {
    "selective, pooled": (71.4, 71.6, 71.4, 70.6, 68.1, 64.6, 58.3, 52.9, 46.7, 36.3, 33.2),
    "selective": (71.3, 71.2, 70.8, 70.6, 67.4, 63.1, 55.1, 48.8, 43.6, 34.5, 31.2),
    "uniform, pooled": (71.6, 71.8, 69.6, 66.4, 59.9, 55.6, 50.7, 47.3, 44.1, 37.2, 34.4),
    "uniform": (71.2, 71.0, 69.2, 67.2, 59.4, 56.2, 49.4, 45.3, 41.9, 33.6, 30.4),
}
#: Colour of a kind of policy (Okabe and Ito's, told apart by the colour-blind too).
COLOURS = {
    "uniform": "#0072b2",
    "selective": "#d55e00",
    "coverage": "#009e73",
    "online": "#cc79a7",
    "oracle": "#000000",
    "random": "#999999",
}
OTHERS = ("#e69f00", "#56b4e9", "#f0e442")  # policies of plugins


def load(folder: Path, sample_set: str | None = None) -> dict[str, Any]:
    """Read what the task ``streaming`` wrote of a sample set, the first by default.

    Raises:
        UserError: The file is missing or not such a file, or there is no such set.
    """
    path = folder / "streaming.json" if folder.is_dir() else folder
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; `jepa-vl test` writes it with the task streaming") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}") from None
    name = next(iter(found), None) if sample_set is None else sample_set
    if name not in found or "policies" not in found[name]:
        raise UserError(f"{path}: has no streams of the set '{name}'; it has {sorted(found)}")
    of: dict[str, Any] = found[name]
    return of


def draw(record: Mapping[str, Any], target: Path, *, generative: Mapping[str, Any] | None = None) -> None:
    """Draw CIDEr × 100 over the interval between decodes, ours on the left and the paper's on the right.

    Args:
        record: See `load`.
        target: A file that matplotlib can write: ``.png``, ``.pdf``, ``.svg``.
        generative: The record of an objective that says the text of whole windows, to be drawn beside.

    Raises:
        UserError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("curves need matplotlib: pip install 'jepa-vl[plots]'") from None

    figure = Figure(figsize=(11, 5.2), layout="constrained")
    ours, paper = figure.subplots(1, 2)
    _ours(ours, record)
    if generative is not None:
        uniform = next(p for p in generative["policies"] if p["label"] == "uniform")
        _line(ours, uniform, label="token-generative, uniform", color="#56b4e9", linestyle="-.", marker=".")
    _bounds(ours, record["bounds"])
    ours.set_title(
        f"here: {record['streams']} streams, {record['annotations']} annotations in "
        f"{record['seconds'] / 60:.0f} minutes",
        fontsize=10,
    )
    for label, values in PAPER.items():
        pooled = "pooled" in label
        shade = "0.25" if label.startswith("selective") else "0.6"
        paper.plot(PAPER_INTERVALS, values, color=shade, linestyle="-" if pooled else "--", label=label)
    paper.set_title("VL-JEPA, Fig 4: EgoExo4D, 218 videos (read off, ±0.5)", fontsize=10)
    for axes in (ours, paper):
        axes.set_xscale("log")
        axes.set_xlabel("seconds of stream between decodes, on average")
        axes.set_ylabel("CIDEr × 100 of annotations with the nearest text")
        axes.set_xticks([0.5, 1, 2, 5, 10, 20, 50, 100], ["0.5", "1", "2", "5", "10", "20", "50", "100"])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=150)


def _ours(axes: Any, record: Mapping[str, Any]) -> None:
    spare = iter(OTHERS * 9)
    colours = dict(COLOURS)
    styles: list[tuple[str, str]] = []
    for policy in record["policies"]:
        kind = policy["label"].partition(",")[0]
        colour = colours.setdefault(kind, next(spare))
        style = ":" if policy["bound"] else "-" if policy["pooled"] else "--"
        marker = ".x+*"[styles.count((colour, style)) % 4]  # several settings of one policy
        styles.append((colour, style))
        _line(axes, policy, label=policy["label"], color=colour, linestyle=style, marker=marker)
    rate = record["reference_rate"]
    uniform = next(p for p in record["policies"] if p["label"].startswith("uniform"))
    wanted = next(at for at in uniform["at"] if at["rate"] == rate)["CIDEr"]["value"] * 100
    axes.axhline(wanted, color=COLOURS["uniform"], linewidth=0.6)
    axes.annotate(
        f"uniform at {rate:g} Hz", (axes.get_xlim()[1], wanted), fontsize=7, ha="right", va="bottom"
    )


def _line(axes: Any, policy: Mapping[str, Any], **style: Any) -> None:
    """Draw a curve over the interval that was reached, with the band of its 95 % intervals."""
    there = sorted(
        (at for at in policy["at"] if at["decodes"]), key=lambda at: -at["decodes a second"]["value"]
    )
    interval = [1 / at["decodes a second"]["value"] for at in there]
    axes.plot(interval, [100 * at["CIDEr"]["value"] for at in there], **style)
    low, high = ([100 * at["CIDEr"][end] for at in there] for end in ("low", "high"))
    axes.fill_between(interval, low, high, color=style["color"], alpha=0.12, linewidth=0)


def _bounds(axes: Any, bounds: Mapping[str, Mapping[str, float]]) -> None:
    for name, of in bounds.items():
        axes.axhline(100 * of["value"], color="0.7", linewidth=0.6, linestyle=":")
        axes.annotate(name, (0.5, 100 * of["value"]), fontsize=7, color="0.4", va="bottom")


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the curves of a run; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m jepa_vl.streaming.curves", description=__doc__)
    parser.add_argument("run", type=Path, help="a run's folder with streaming.json, or that file")
    parser.add_argument("--generative", type=Path, help="the run of an objective that only generates")
    parser.add_argument("--set", dest="sample_set", help="name of the sample set; the first by default")
    parser.add_argument("--output", type=Path, help="RUN/streaming.png by default")
    options = parser.parse_args(argv)
    folder = options.run if options.run.is_dir() else options.run.parent
    target = options.output or folder / "streaming.png"
    try:
        other = load(options.generative, options.sample_set) if options.generative else None
        draw(load(options.run, options.sample_set), target, generative=other)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_status
    sys.stdout.write(f"{target}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
