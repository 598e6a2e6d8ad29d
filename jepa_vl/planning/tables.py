"""A plan for people: tables of the sample, the parameters, the memory and the hours."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table

from jepa_vl.planning.plan import Plan
from jepa_vl.planning.units import in_bytes, in_counts, in_time

LEFT_OUT = (
    "Operations are products of matrices, convolutions and attention, two for a multiplication and addition; "
    "what is done number by number, and optimizer and communication, are left out. Working memory is an "
    "estimate: the tensors of one step run on shapes alone, every text of full length and no two alike, with "
    "fused attention and norms. Weights, gradients, optimizer and buckets are exact. Not in it: the device's "
    "context, buffers of communication, and what its allocator cannot use."
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


def table_of(title: str, *columns: str) -> Table:
    """Return an empty table; all columns but the first are of numbers."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    return table


def _sample(plan: Plan) -> Table:
    table = table_of("a sample", "", "tokens", "bytes", "FLOPs")
    found, step = plan.sample_bytes, plan.step
    if plan.frames:
        table.add_row(f"frames: {plan.frames}", "", in_bytes(found["frames"]), "")
        seen = "once, then cached" if plan.size.cached else "in every step"
        word = f", frozen: seen {seen}" if step.flops_vision else ""
        tokens = in_bytes(found.get("visual tokens", 0))
        table.add_row(f"visual tokens{word}", f"{plan.visual_tokens:,}", tokens, in_counts(step.flops_vision))
    table.add_row("query", str(plan.lengths.query), in_bytes(found["query"]), "")
    word = ", by a frozen encoder: read once" if step.flops_text else ""
    row = (str(plan.lengths.target), in_bytes(found["target"]), in_counts(step.flops_text))
    table.add_row(f"target{word}", *row)
    table.add_row("training step, forward and backward", "", "", in_counts(step.flops))
    return table


def _parameters(plan: Plan) -> Table:
    table = table_of("parameters", "part", "trainable", "frozen")
    for part, counts in plan.parameters.items():
        table.add_row(part, f"{counts['trained']:,}", f"{counts['frozen']:,}")
    totals = [sum(counts[word] for counts in plan.parameters.values()) for word in ("trained", "frozen")]
    table.add_section()
    table.add_row("all", *(f"{total:,}" for total in totals))
    return table


def _memory(plan: Plan) -> Table:
    table = table_of("memory of a process", "part", "weights", "gradients", "optimizer", "working")
    memory = plan.memory
    for name in dict.fromkeys((*memory.parts, *memory.working_by_part)):
        held = memory.parts.get(name)
        kept = (0, 0, 0) if held is None else (held.weights, held.gradients, held.optimizer)
        table.add_row(name, *map(in_bytes, (*kept, memory.working_by_part.get(name, 0))))
    if memory.buckets:
        table.add_row("DDP's buckets", "", in_bytes(memory.buckets), "", "")
    table.add_section()
    sums = [
        sum(getattr(p, word) for p in memory.parts.values()) for word in ("weights", "gradients", "optimizer")
    ]
    sums[1] += memory.buckets
    table.add_row("all", *map(in_bytes, (*sums, memory.working)))
    table.add_row("together", "", "", "", in_bytes(memory.total))
    return table


def _run(plan: Plan) -> Table:
    table = table_of("the run", "", "")
    for left, right in _run_rows(plan):
        table.add_row(left, right)
    return table


def _run_rows(plan: Plan) -> Iterator[tuple[str, str]]:
    size, card, total = plan.size, plan.card, plan.memory.total
    yield "operations a sample", f"{in_counts(plan.flops_per_sample)}FLOPs"
    yield card.name, f"{card.teraflops:,.4g} TFLOPS at most: {card.source}"
    if card.memory is not None:
        fits = "fits" if total < card.memory else "does not fit"
        yield "memory", f"{in_bytes(total)} of {in_bytes(card.memory)}: {fits}"
    hours, samples = plan.card_hours, plan.samples
    if hours is None or samples is None:
        return
    yield "samples", f"{samples:,} ({size.steps:,} steps)"
    yield "operations", f"{samples * plan.flops_per_sample:.3g} FLOPs"
    yield f"card hours at {plan.utilisation:.0%} of its peak", f"{hours:,.4g}"
    yield "time", in_time(hours / size.processes)
