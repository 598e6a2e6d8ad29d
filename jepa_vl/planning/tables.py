"""A plan for people: tables of the sample, the parameters, the memory and the hours."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table

from jepa_vl.planning.plan import Plan

GIB, TERA = 2**30, 1e12
LEFT_OUT = (
    "Operations are products of matrices, convolutions and attention, two for a multiplication with addition; "
    "what is done number by number, and optimizer and communication, are left out. Working memory is an "
    "estimate: the tensors of one step run on shapes alone, every text of full length and no two alike, with "
    "fused attention. Weights, gradients, optimizer and buckets are exact. Not in it: the device's context, "
    "buffers of communication, and what its allocator cannot use."
)


def print_plan(plan: Plan, console: Console) -> None:
    """Print everything."""
    size = plan.size
    passes = f" × {size.accumulate} passes" if size.accumulate > 1 else ""
    console.print(
        f"{plan.objective}: batch {size.batch:,} × {size.processes} process(es){passes} = "
        f"{size.global_batch:,} samples a step, precision {size.precision}",
        style="bold",
    )
    for table in (_sample(plan), _parameters(plan), _memory(plan), _run(plan)):
        console.print()
        console.print(table)
    console.print()
    for note in plan.notes:
        console.print(f"note: {note}", markup=False)
    console.print(LEFT_OUT, style="dim", markup=False)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    return table


def _sample(plan: Plan) -> Table:
    table = _table("a sample", "", "tokens", "kB", "GFLOPs")
    found, step = plan.sample_bytes, plan.step
    vision = "" if not step.flops_vision else f"{step.flops_vision / 1e9:,.3f}"
    if plan.frames:
        table.add_row(f"frames: {plan.frames}", "", f"{found['frames'] / 1e3:,.1f}", "")
        kb = f"{found['visual tokens'] / 1e3:,.1f}" if "visual tokens" in found else ""
        seen = "once, then cached" if plan.size.cached else "in every step"
        word = f", frozen: seen {seen}" if vision else ""
        table.add_row(f"visual tokens{word}", f"{plan.visual_tokens:,}", kb, vision)
    table.add_row("query", str(plan.lengths.query), f"{found['query'] / 1e3:,.2f}", "")
    read = "" if not step.flops_text else f"{step.flops_text / 1e9:,.3f}"
    word = ", by a frozen encoder: read once" if read else ""
    table.add_row(f"target{word}", str(plan.lengths.target), f"{found['target'] / 1e3:,.2f}", read)
    table.add_row("training step, forward and backward", "", "", f"{step.flops / 1e9:,.3f}")
    return table


def _parameters(plan: Plan) -> Table:
    table = _table("parameters", "part", "trainable", "frozen")
    for part, counts in plan.parameters.items():
        table.add_row(part, f"{counts['trained']:,}", f"{counts['frozen']:,}")
    totals = [sum(counts[word] for counts in plan.parameters.values()) for word in ("trained", "frozen")]
    table.add_section()
    table.add_row("all", *(f"{total:,}" for total in totals))
    return table


def _memory(plan: Plan) -> Table:
    table = _table("memory of a process, GiB", "part", "weights", "gradients", "optimizer", "working")
    memory = plan.memory
    for name in dict.fromkeys((*memory.parts, *memory.working_by_part)):
        held = memory.parts.get(name)
        row = ("", "", "") if held is None else tuple(map(_gib, (held.weights, held.gradients, held.optimizer)))
        table.add_row(name, *row, _gib(memory.working_by_part.get(name, 0)))
    if memory.buckets:
        table.add_row("DDP's buckets", "", _gib(memory.buckets), "", "")
    table.add_section()
    sums = [sum(getattr(p, word) for p in memory.parts.values()) for word in ("weights", "gradients", "optimizer")]
    sums[1] += memory.buckets
    table.add_row("all", *(f"{n / GIB:,.2f}" for n in (*sums, memory.working)))
    table.add_row("together", "", "", "", f"{memory.total / GIB:,.2f}")
    return table


def _gib(count: int) -> str:
    return f"{count / GIB:,.2f}" if count >= GIB / 200 else ("<0.01" if count else "")


def _run(plan: Plan) -> Table:
    card = plan.card
    table = _table("the run", "", "")
    for left, right in _run_rows(plan):
        table.add_row(left, right)
    table.add_row(f"{card.name}: {card.teraflops:,.4g} TFLOPS at most", card.source)
    return table


def _run_rows(plan: Plan) -> Iterator[tuple[str, str]]:
    size, card, total = plan.size, plan.card, plan.memory.total / GIB
    yield "operations a sample", f"{plan.flops_per_sample / TERA:,.4g} TFLOPs"
    if card.gib is not None:
        fits = "fits" if total < card.gib else "does not fit"
        yield "memory", f"{total:,.1f} of {card.gib:,.1f} GiB: {fits}"
    hours, samples = plan.card_hours, plan.samples
    if hours is None or samples is None:
        return
    yield "samples", f"{samples:,} ({size.steps:,} steps)"
    yield "operations", f"{samples * plan.flops_per_sample:,.4g}"
    yield f"card hours at {plan.utilisation:.0%}", f"{hours:,.4g}"
    yield "wall time", f"{hours / size.processes:,.4g} h = {hours / size.processes / 24:,.3g} days"
