"""What training takes: parameters by part, operations, time and memory; and the runs one by one."""

from __future__ import annotations

from jepa_vl.compare.report.document import Cell, Table, Tone
from jepa_vl.compare.report.numbers import NONE, count, duration, label, short, times
from jepa_vl.compare.statistics.summary import ArmSummary, Summary

TARGET_ENCODER = ("text_encoder", "text_head")
TABLES = ("token_embedding",)
DECODER = ("decoder",)
#: Sums of the parts, by what is left out.
SUMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("all parts", ()),
    ("without token embeddings", TABLES),
    ("without the target encoder", TARGET_ENCODER),
    ("without either", (*TARGET_ENCODER, *TABLES)),
    ("without either, nor the decoder", (*TARGET_ENCODER, *TABLES, *DECODER)),
)


def parameters(summary: Summary) -> Table | None:
    """Trained and frozen parameters of each part, and their sums with and without what may be counted."""
    arms = [arm for arm in summary.arms if arm.parameters]
    if not arms:
        return None
    parts = list(dict.fromkeys(part for arm in arms for part in arm.parameters))
    rows: list[list[str | Cell]] = [
        [part.replace("_", " "), *(_part(arm, part) for arm in arms)] for part in parts
    ]
    for name, left_out in SUMS:
        if left_out and left_out[-1] not in parts and name.endswith("decoder"):
            continue
        rows.append([f"**{name}**", *(_sum(summary, arm, left_out) for arm in arms)])
    return Table(["part", *(label(summary, arm) for arm in arms)], rows)


def _part(arm: ArmSummary, part: str) -> str:
    counts = arm.parameters.get(part)
    if counts is None:
        return NONE
    words = [f"{short(counts[kind])} {kind}" for kind in ("trained", "frozen") if counts.get(kind)]
    return " + ".join(words) or "0"


def _sum(summary: Summary, arm: ArmSummary, left_out: tuple[str, ...]) -> str:
    trained, everything = sums(arm, left_out)
    other, _ = sums(summary.arm(summary.reference), left_out)
    relative = f" ({100 * trained / other:.0f} %)" if other and arm.name != summary.reference else ""
    return f"{short(trained)} trained{relative} of {short(everything)}"


def sums(arm: ArmSummary, left_out: tuple[str, ...]) -> tuple[int, int]:
    """Return the trained parameters and all, without some parts."""
    kept = [counts for part, counts in arm.parameters.items() if part not in left_out]
    trained = sum(counts.get("trained", 0) for counts in kept)
    return trained, trained + sum(counts.get("frozen", 0) for counts in kept)


def training(summary: Summary) -> Table:
    """Samples, operations, time and memory of a whole run of each arm."""
    reference = summary.arm(summary.reference)
    rows = []
    for arm in summary.begun:
        flops = arm.flops_per_sample * arm.samples
        rows.append(
            [
                label(summary, arm),
                count(arm.samples),
                f"{arm.epochs:.2f}",
                short(arm.flops_per_sample) + _relative(arm.flops_per_sample, reference.flops_per_sample),
                short(arm.flops_vision),
                short(flops),
                duration(arm.seconds) + _relative(arm.seconds, reference.seconds) if arm.seconds else NONE,
                f"{arm.peak_memory_mib:,.0f} MiB",
            ]
        )
    headings = [
        "arm",
        "samples",
        "epochs",
        "FLOPs a sample",
        "frozen encoder, once a sample",
        "FLOPs of a run",
        "time of a run",
        "peak memory",
    ]
    return Table(headings, rows)


def _relative(value: float, reference: float) -> str:
    return f" ({times(value / reference)}×)" if reference and value and value != reference else ""


def runs(summary: Summary) -> Table:
    """Every run, also those that failed or were never started."""
    tones: dict[str, Tone] = {"diverged": "bad", "failed": "bad", "missing": "bad"}
    rows: list[list[str | Cell]] = [
        [
            summary.arm(run.arm).about,
            str(run.seed),
            Cell(run.state, tones.get(run.state, "")),
            run.message,
            count(run.steps),
            count(run.samples),
            duration(run.seconds) if run.seconds else NONE,
            run.machine or NONE,
            run.commit or NONE,
            run.date[:16].replace("T", " ") or NONE,
        ]
        for run in summary.runs
    ]
    headings = ["arm", "seed", "state", "why", "steps", "samples", "time", "machine", "commit", "date"]
    if any(run.message for run in summary.runs):
        return Table(headings, rows, words=4)
    return Table([*headings[:3], *headings[4:]], [[*row[:3], *row[4:]] for row in rows], words=3)
