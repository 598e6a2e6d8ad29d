"""The token twin's loss in chunks beside torch's cross-entropy over all scores: time and memory of a step.

Run    python benchmarks/twin_loss.py --vocabularies 30522 128256 --tokens 512 2048 --width 576 --rounds 5
All compute loss and gradients of states and weight, in turn in one process. Memory is what lives at once
beside states and weight: of the allocator on a GPU, of tensors on a CPU. On a GPU with liger-kernel there is
a row for the chunks with its kernels and one for those without.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from unittest.mock import patch

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from jepa_vl.language import linear_cross_entropy as module
from jepa_vl.language.liger_cross_entropy import kernels
from jepa_vl.language.linear_cross_entropy import linear_cross_entropy
from jepa_vl.planning.live import LiveBytes

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
MIB = 2**20


def plain(states: Tensor, weight: Tensor, places: Tensor) -> Tensor:
    """All scores at once."""
    return F.cross_entropy(F.linear(states, weight).float(), places)


def chunked(states: Tensor, weight: Tensor, places: Tensor) -> Tensor:
    """Ours."""
    return linear_cross_entropy(states, weight, None, places).total / len(places)


def without_kernels(states: Tensor, weight: Tensor, places: Tensor) -> Tensor:
    """Ours, as it is where liger-kernel is not installed."""
    with patch.object(module, "can_take", lambda *_: False):
        return chunked(states, weight, places)


def losses(device: torch.device) -> dict[str, Loss]:
    """Return what is compared, the peer first."""
    found: dict[str, Loss] = {"torch": plain, "chunked": without_kernels}
    if device.type == "cuda" and kernels() is not None:
        found["chunked, Liger"] = chunked
    return found


class Case:
    """Operands of one size."""

    def __init__(self, tokens: int, vocabulary: int, width: int, device: torch.device, half: bool) -> None:
        torch.manual_seed(0)
        self.states = torch.randn(tokens, width, device=device, requires_grad=True)
        self.weight = (0.02 * torch.randn(vocabulary, width, device=device)).requires_grad_()
        self.places = torch.randint(0, vocabulary, (tokens,), device=device)
        self.device, self.half = device, half

    def step(self, loss: Loss) -> Tensor:
        """Loss and gradients."""
        self.states.grad = self.weight.grad = None
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            value = loss(self.states, self.weight, self.places)
        value.backward()
        return value.detach()

    def seconds(self, loss: Loss) -> float:
        """Time of a step."""
        self._wait()
        began = time.perf_counter()
        self.step(loss)
        self._wait()
        return time.perf_counter() - began

    def mebibytes(self, loss: Loss) -> float:
        """Peak of a step."""
        if self.device.type == "cuda":
            self.states.grad = self.weight.grad = None
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            self.step(loss)
            return (torch.cuda.max_memory_allocated() - before) / MIB
        with LiveBytes() as live:
            self.step(loss)
        return live.peak / MIB

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--vocabularies", type=int, nargs="+", default=[30_522, 128_256])
    parser.add_argument("--tokens", type=int, nargs="+", default=[512, 2048])
    parser.add_argument("--width", type=int, default=576)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--bf16", action="store_true", help="under autocast")
    args = parser.parse_args()
    device = torch.device(args.device)
    compared = losses(device)
    table = Table("vocabulary", "tokens", "loss", "s", "ratio", "MiB", "ratio", "differs by")
    for vocabulary in args.vocabularies:
        for tokens in args.tokens:
            case = Case(tokens, vocabulary, args.width, device, args.bf16)
            seconds: dict[str, list[float]] = {name: [] for name in compared}
            values = {name: float(case.step(loss)) for name, loss in compared.items()}  # warms up
            for turn in range(args.rounds):
                for name in list(compared)[:: 1 if turn % 2 == 0 else -1]:
                    seconds[name].append(case.seconds(compared[name]))
            times = {name: statistics.median(of) for name, of in seconds.items()}
            sizes = {name: case.mebibytes(loss) for name, loss in compared.items()}
            for name in compared:
                s, m = times[name], sizes[name]
                row = (f"{s:.3f}", f"{s / times['torch']:.2f}", f"{m:,.0f}", f"{m / sizes['torch']:.2f}")
                apart = f"{abs(values[name] - values['torch']):.1e}"
                table.add_row(f"{vocabulary:,}", f"{tokens:,}", name, *row, apart)
    console = Console(width=120)
    console.print(table)
    name = (
        torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine()
    )
    precision = "bf16 autocast" if args.bf16 else "float32"
    console.print(
        f"width {args.width}, {precision}, {args.rounds} rounds, {name}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}"
    )


if __name__ == "__main__":
    main()
