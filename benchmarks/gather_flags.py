"""The gradient of contrastive losses over processes, ours and open_clip's with each of its flags.

Run    python benchmarks/gather_flags.py --ranks 2 4
Two linear towers and the temperature learn under DDP from one batch, dealt out to gloo processes, in float64.
The peer is one process with the whole batch: `off by` is the distance to its gradient, as a share of that
gradient's length, and the ratio is of lengths: what a factor on the learning rate could mend. A temperature's
gradient has one number, of which there is the ratio alone.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from open_clip.loss import ClipLoss, SigLipLoss
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from jepa_vl.distributed import world
from jepa_vl.losses.base import Loss
from jepa_vl.losses.info_nce import InfoNCE
from jepa_vl.losses.sigmoid import SigmoidLoss

WIDTH, EMBEDDED = 24, 12


class Found(NamedTuple):
    """The mean loss, the gradient of both towers, and that of log(1/τ)."""

    loss: float
    towers: Tensor
    scale: float


class Ours(nn.Module):
    """A loss of jepa-vl."""

    def __init__(self, loss: Loss) -> None:
        super().__init__()
        self.loss = loss
        self.log_scale = loss.log_scale

    def forward(self, p: Tensor, t: Tensor) -> Tensor:
        """Return the loss of the local rows."""
        first = world().rank * len(p)
        return self.loss(p, t, torch.arange(first, first + len(p)))[0]


class Theirs(nn.Module):
    """A loss of open_clip, with the same start values."""

    def __init__(self, loss: nn.Module, *, temperature: float, bias: float | None = None) -> None:
        super().__init__()
        self.loss = loss
        self.log_scale = nn.Parameter(torch.tensor(1 / temperature).log())
        self.bias = None if bias is None else nn.Parameter(torch.tensor(bias))

    def forward(self, p: Tensor, t: Tensor) -> Tensor:
        """Return the loss as it is to be called on each rank."""
        unit = F.normalize(p, dim=-1), F.normalize(t, dim=-1)
        return self.loss(*unit, self.log_scale.exp(), *(() if self.bias is None else (self.bias,)))


def clip(local_loss: bool, gather_with_grad: bool) -> Callable[[], nn.Module]:
    """Return what makes open_clip's InfoNCE with these flags."""

    def make() -> nn.Module:
        rank, size = world()
        flags = {"local_loss": local_loss, "gather_with_grad": gather_with_grad}
        return Theirs(ClipLoss(**flags, rank=rank, world_size=size), temperature=0.07)

    return make


def siglip() -> nn.Module:
    """Make open_clip's sigmoid loss."""
    return Theirs(SigLipLoss(rank=world().rank, world_size=world().size), temperature=0.1, bias=-10.0)


LOSSES: dict[str, Callable[[], nn.Module]] = {
    "info_nce": lambda: Ours(InfoNCE()),
    "open_clip, no flag (its default)": clip(False, False),
    "open_clip, local_loss": clip(True, False),
    "open_clip, gather_with_grad": clip(False, True),
    "open_clip, both": clip(True, True),
    "sigmoid": lambda: Ours(SigmoidLoss()),
    "open_clip, SigLipLoss": siglip,
}


class Model(nn.Module):
    """Two towers and a loss."""

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.predicted, self.target = nn.Linear(WIDTH, EMBEDDED), nn.Linear(WIDTH, EMBEDDED)
        self.loss = make()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the loss of the local rows."""
        loss: Tensor = self.loss(self.predicted(x), self.target(y))
        return loss


def gradient(make: Callable[[], nn.Module], batch: int) -> Found:
    """Return what the optimizer of each process would see."""
    model = Model(make).double()
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, WIDTH, generator=generator, dtype=torch.float64)
    y = x + 0.5 * torch.randn(batch, WIDTH, generator=generator, dtype=torch.float64)
    rank, size = world()
    mine = slice(rank * batch // size, (rank + 1) * batch // size)
    step: nn.Module = model if size == 1 else DistributedDataParallel(model)
    loss = step(x[mine], y[mine])
    loss.backward()
    mean = loss.detach() / size
    if size > 1:
        dist.all_reduce(mean)
    grads = {name: p.grad.flatten() for name, p in model.named_parameters() if p.grad is not None}
    towers = torch.cat([grad for name, grad in grads.items() if not name.startswith("loss.")])
    return Found(float(mean), towers, float(grads["loss.log_scale"]))


def work(rank: int, size: int, batch: int, folder: str) -> None:
    """Measure every loss on one of several processes; the first writes what it found."""
    warnings.simplefilter("ignore", FutureWarning)  # open_clip calls what torch will drop
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size)
    found = {name: gradient(make, batch) for name, make in LOSSES.items()}
    if rank == 0:
        torch.save({name: tuple(each) for name, each in found.items()}, f"{folder}/found")
    dist.destroy_process_group()


def over(ranks: int, batch: int) -> dict[str, Found]:
    """Measure every loss over several processes."""
    with tempfile.TemporaryDirectory() as folder:
        spawn(work, (ranks, batch, folder), nprocs=ranks)
        return {name: Found(*each) for name, each in torch.load(Path(folder) / "found").items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--batch", type=int, default=64, help="samples of all processes")
    options = parser.parse_args()
    whole = {name: gradient(make, options.batch) for name, make in LOSSES.items()}
    heads = ("loss off by", "towers off by", "towers' ratio", "temperature's ratio")
    table = Table("processes", "loss", *heads)
    for ranks in options.ranks:
        for name, found in over(ranks, options.batch).items():
            one = whole[name]
            numbers = (
                f"{abs(found.loss - one.loss) / one.loss:.1e}",
                f"{float((found.towers - one.towers).norm() / one.towers.norm()):.1e}",
                f"{float(found.towers.norm() / one.towers.norm()):.4f}",
                f"{found.scale / one.scale:.4f}",
            )
            table.add_row(f"{ranks}", name, *numbers)
    Console(width=120).print(f"batch {options.batch} in all", table, sep="\n")


if __name__ == "__main__":
    main()
