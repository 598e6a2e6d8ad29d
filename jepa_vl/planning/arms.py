"""Plans of a comparison's arms for people: side by side, a column an arm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from rich.console import Console
from rich.table import Table

from jepa_vl.planning.comparison import ArmPlan
from jepa_vl.planning.tables import LEFT_OUT, table_of
from jepa_vl.planning.units import in_bytes, in_counts, in_time

SIDE_BY_SIDE = 4  # arms in a table; more go below
NOT_COUNTED = (
    "Hours are those of the training: evaluations at each budget, and seeing and caching what a frozen "
    "encoder makes of the data, come on top."
)
Row = tuple[str, Callable[[ArmPlan], str]]


def print_arms(plans: Sequence[ArmPlan], console: Console) -> None:
    """Print the arms side by side, then what all of them take together."""
    for start in range(0, len(plans), SIDE_BY_SIDE):
        some = plans[start : start + SIDE_BY_SIDE]
        for title, rows in (
            ("a run", _run()),
            ("trainable parameters", _parameters(some, "trained")),
            ("frozen parameters", _parameters(some, "frozen")),
            ("a sample", _sample(some)),
            ("memory of a process", _memory(some)),
            ("training", _training(some)),
        ):
            console.print(_side_by_side(title, rows, some))
            console.print()
    first = plans[0].plan
    hours = sum(each.card_hours for each in plans)
    console.print(
        f"all {len(plans)} arms: {hours:,.4g} card hours on {first.card.name} at {first.utilisation:.0%} of "
        f"its peak of {first.card.teraflops:,.4g} TFLOPS ({first.card.source})",
        style="bold",
        markup=False,
    )
    for note in _notes(plans):
        console.print(f"note: {note}", markup=False)
    console.print(f"{NOT_COUNTED} {LEFT_OUT}", style="dim", markup=False)


def print_runs(each: ArmPlan, console: Console) -> None:
    """Print what all runs of one arm take, below the plan of one run of it."""
    trials = f" and {each.trials} trials of {each.trial_steps:,} steps" if each.trials else ""
    console.print(
        f"arm '{each.arm.name}', {each.seeds} seeds{trials}: {each.card_hours:,.4g} card hours",
        style="bold",
        markup=False,
    )
    for note in _decoders([each]):
        console.print(f"note: {note}", markup=False)
    console.print(NOT_COUNTED, style="dim", markup=False)


def _side_by_side(title: str, rows: Iterator[Row], plans: Sequence[ArmPlan]) -> Table:
    table = table_of(title, "", *(each.arm.name for each in plans))
    for word, value in rows:
        table.add_row(word, *map(value, plans))
    return table


def _run() -> Iterator[Row]:
    yield "objective", lambda each: each.plan.objective
    yield "what it is", lambda each: each.arm.about
    yield "samples a step", lambda each: f"{each.plan.size.global_batch:,}"
    yield "processes", lambda each: f"{each.plan.size.processes:,}"
    yield "precision", lambda each: each.plan.size.precision
    yield "steps", lambda each: f"{each.plan.size.steps:,}"
    yield "samples", lambda each: f"{each.plan.samples:,}"


def _parameters(plans: Sequence[ArmPlan], word: str) -> Iterator[Row]:
    parts = dict.fromkeys(part for each in plans for part in each.plan.parameters)
    for part in parts:
        counts = [each.plan.parameters.get(part, {}).get(word, 0) for each in plans]
        if any(counts):
            yield part, partial(_part, part=part, word=word)
    yield "all", lambda each: _number(sum(counts[word] for counts in each.plan.parameters.values()))


def _sample(plans: Sequence[ArmPlan]) -> Iterator[Row]:
    yield "frames", lambda each: _number(each.plan.frames)
    yield "visual tokens", lambda each: _number(each.plan.visual_tokens)
    yield "bytes of these", lambda each: in_bytes(each.plan.sample_bytes.get("visual tokens", 0))
    yield "FLOPs of a training step", lambda each: in_counts(each.plan.step.flops)
    if any(each.plan.step.flops_vision for each in plans):
        once = all(each.plan.size.cached for each in plans)
        word = "once, then cached" if once else "in every step"
        yield f"FLOPs of seeing it, {word}", lambda each: in_counts(each.plan.step.flops_vision)
    if any(each.plan.step.flops_text for each in plans):
        yield "FLOPs of a frozen text encoder, once", lambda each: in_counts(each.plan.step.flops_text)


def _memory(plans: Sequence[ArmPlan]) -> Iterator[Row]:
    for word in ("weights", "gradients", "optimizer"):
        yield word, partial(_held, word=word)
    if any(each.plan.memory.buckets for each in plans):
        yield "DDP's buckets", lambda each: in_bytes(each.plan.memory.buckets)
    yield "working", lambda each: in_bytes(each.plan.memory.working)
    yield "together", lambda each: in_bytes(each.plan.memory.total)
    yield "fits the card", _fits


def _training(plans: Sequence[ArmPlan]) -> Iterator[Row]:
    yield "card hours of a run", lambda each: f"{each.plan.card_hours:,.4g}"
    yield "time of a run", lambda each: in_time((each.plan.card_hours or 0) / each.plan.size.processes)
    yield "seeds", lambda each: str(each.seeds)
    if any(each.trials for each in plans):
        yield "trials before", lambda each: f"{each.trials} of {each.trial_steps:,} steps"
    yield "card hours of all", lambda each: f"{each.card_hours:,.4g}"


def _part(each: ArmPlan, part: str, word: str) -> str:
    return _number(each.plan.parameters.get(part, {}).get(word, 0))


def _held(each: ArmPlan, word: str) -> str:
    return in_bytes(sum(getattr(part, word) for part in each.plan.memory.parts.values()))


def _fits(each: ArmPlan) -> str:
    if each.plan.card.memory is None:
        return ""
    return "yes" if each.plan.memory.total < each.plan.card.memory else "no"


def _notes(plans: Sequence[ArmPlan]) -> Iterator[str]:
    """Say what had to be assumed, with the arms' names where it is not all of them."""
    said: dict[str, list[str]] = {}
    for each in plans:
        for note in each.plan.notes:
            said.setdefault(note, []).append(each.arm.name)
    for note, names in said.items():
        yield note if len(names) == len(plans) else f"{', '.join(names)}: {note}"
    yield from _decoders(plans)


def _decoders(plans: Sequence[ArmPlan]) -> Iterator[str]:
    names = [each.arm.name for each in plans if each.arm.decoder]
    if names:
        yield f"{', '.join(names)}: the decoder that is trained on each finished run is not counted"


def _number(count: int) -> str:
    return f"{count:,}" if count else ""
