"""Time and memory of the contrastive losses beside open_clip's, forward and backward.

Run    python benchmarks/loss.py --batches 4096 16384 --widths 512 1536 --rounds 3
       python benchmarks/loss.py --loss sigmoid
       python benchmarks/loss.py --device cuda --tf32
For each size the median seconds of both, in turn in one process, and the ratio of the medians; and the peak
of memory that a fresh process takes for one forward and backward pass beyond its inputs. Seconds are of
processor time, which other work on the machine hardly changes; the ratio is given by the clock as well. On a
GPU the clock is what counts, and memory is its allocator's. A peer that does not fit into memory is left out,
and said to be.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import re
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
import torch.nn.functional as F
from open_clip.loss import ClipLoss, SigLipLoss
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from jepa_vl.losses.base import Loss
from jepa_vl.losses.info_nce import InfoNCE
from jepa_vl.losses.sigmoid import SigmoidLoss

OURS, PEER = "jepa-vl", "open_clip"
PEER_MATRICES = 5  # B × B float32 matrices that the peer holds at its peak
STATUS = Path("/proc/self/status")

Step = Callable[[Tensor, Tensor], None]


def ours(name: str, device: str) -> Step:
    """Return one forward and backward pass of our loss, from embeddings of any norm."""
    loss: Loss = InfoNCE() if name == "info_nce" else SigmoidLoss()
    loss.to(device)

    def step(p: Tensor, t: Tensor) -> None:
        loss(p, t, torch.arange(len(p), device=device))[0].backward()

    return step


def peer(name: str, device: str) -> Step:
    """Return the same of open_clip's, with the same start values and a learnable scale."""
    clip = name == "info_nce"
    loss = ClipLoss() if clip else SigLipLoss()
    log_scale = nn.Parameter(torch.tensor(1 / (0.07 if clip else 0.1), device=device).log())
    bias = None if clip else nn.Parameter(torch.tensor(-10.0, device=device))

    def step(p: Tensor, t: Tensor) -> None:
        loss(F.normalize(p, dim=-1), F.normalize(t, dim=-1), log_scale.exp(), bias).backward()

    return step


def step_of(side: str, name: str, device: str) -> Step:
    """Return what is measured."""
    return ours(name, device) if side == OURS else peer(name, device)


def inputs(batch: int, width: int, device: str) -> tuple[Tensor, Tensor]:
    """Two batches of embeddings, the same ones each time."""
    generator = torch.Generator().manual_seed(0)
    p, t = (torch.randn(batch, width, generator=generator).to(device).requires_grad_() for _ in range(2))
    return p, t


def seconds(step: Step, p: Tensor, t: Tensor) -> tuple[float, float]:
    """Processor and clock seconds of one step."""
    p.grad = t.grad = None
    begun = time.process_time(), time.perf_counter()
    step(p, t)
    if p.is_cuda:
        torch.cuda.synchronize()
    return time.process_time() - begun[0], time.perf_counter() - begun[1]


def times(
    sides: Sequence[str], name: str, batch: int, width: int, rounds: int, device: str
) -> dict[str, tuple[float, ...]]:
    """Median processor and clock seconds of each side, measured in turn."""
    p, t = inputs(batch, width, device)
    steps = {side: step_of(side, name, device) for side in sides}
    found: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    for step in steps.values():
        step(*inputs(min(batch, 256), width, device))  # what is done only once
    for turn in range(rounds):
        for side in sides if turn % 2 == 0 else reversed(sides):
            found[side].append(seconds(steps[side], p, t))
    return {side: tuple(map(statistics.median, zip(*all_, strict=True))) for side, all_ in found.items()}


def resident(key: str) -> float:
    """Return this process's memory in MiB: ``VmRSS`` now, or ``VmHWM`` at its peak."""
    match = re.search(rf"{key}:\s+(\d+) kB", STATUS.read_text())
    assert match is not None
    return int(match[1]) / 1024


def peak(side: str, name: str, batch: int, width: int, device: str) -> float:
    """MiB that one step takes at its peak beyond what was there before; to be called in a fresh process."""
    torch.set_num_threads(1)
    step = step_of(side, name, device)
    step(*inputs(64, width, device))  # libraries are loaded on first use
    p, t = inputs(batch, width, device)
    if device == "cuda":
        there = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step(p, t)
        return (torch.cuda.max_memory_allocated() - there) / 2**20
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = resident("VmRSS")
    step(p, t)
    return resident("VmHWM") - before


def in_fresh_process(side: str, name: str, batch: int, width: int, device: str) -> float:
    """Return `peak`, measured where nothing else has been; a GPU's allocator can tell in this one."""
    if device == "cuda":
        return peak(side, name, batch, width, device)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(peak, side, name, batch, width, device).result()


def fits(batch: int, device: str) -> bool:
    """Whether the peer's matrices fit into the memory that is free."""
    if device == "cuda":
        return PEER_MATRICES * 4 * batch**2 < 0.9 * torch.cuda.mem_get_info()[0]
    match = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    assert match is not None
    return PEER_MATRICES * 4 * batch**2 < 0.9 * 1024 * int(match[1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--loss", choices=["info_nce", "sigmoid"], default="info_nce")
    parser.add_argument("--batches", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--widths", type=int, nargs="+", default=[256])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--tf32", action="store_true", help="products of both in TF32, on a GPU")
    options = parser.parse_args()
    torch.set_float32_matmul_precision("high" if options.tf32 else "highest")
    if options.device == "cpu" and not STATUS.exists():
        parser.error("memory is read from /proc, which this system does not have")
    torch.set_num_threads(options.threads)
    console = Console(width=120)
    cuda = options.device == "cuda"
    name = torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine()
    precision = "TF32" if options.tf32 else "float32"
    console.print(
        f"{options.loss}, {precision}, {options.threads} thread(s), {options.rounds} rounds, {name}, "
        f"torch {torch.__version__}"
    )
    sides = (OURS, PEER)
    table = Table("B", "E", *sides, "ratio", "by the clock", *(f"{side} MiB" for side in sides), "ratio")
    for batch in options.batches:
        for width in options.widths:
            table.add_row(*row(options.loss, batch, width, options.rounds, options.device))
    console.print(table)


def row(name: str, batch: int, width: int, rounds: int, device: str) -> list[str]:
    """Measure one size."""
    sides = [OURS, PEER] if fits(batch, device) else [OURS]
    spent = times(sides, name, batch, width, rounds, device)
    memory = {side: in_fresh_process(side, name, batch, width, device) for side in sides}
    cells = [f"{batch:,}", f"{width:,}", f"{spent[OURS][0]:.3g} s"]
    if PEER not in sides:
        needed = PEER_MATRICES * 4 * batch**2 / 2**30
        return [*cells, "not run", "", "", f"{memory[OURS]:,.0f}", f"needs {needed * 1024:,.0f}", ""]
    cells += [f"{spent[PEER][0]:.3g} s", *(f"{a / b:.2f}" for a, b in zip(*spent.values(), strict=True))]
    ratio = memory[OURS] / memory[PEER]
    return [*cells, f"{memory[OURS]:,.0f}", f"{memory[PEER]:,.0f}", f"{ratio:.3f}"]


if __name__ == "__main__":
    main()
