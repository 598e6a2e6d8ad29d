"""``python worker.py RANK SIZE STORE MODEL OUT``: one rank of a gloo job, which runs and saves every case."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

sys.path.insert(0, str(Path(__file__).parent))
import objective  # type: ignore[import-not-found]

from jepa_vl.distributed import gather_ids, gather_rows, log_sum_exp_ranks, sum_ranks, world
from jepa_vl.errors import UserError
from jepa_vl.losses import info_nce
from jepa_vl.losses.base import Loss
from jepa_vl.losses.frozen_target import CosineLoss, L1Loss, L2Loss
from jepa_vl.losses.info_nce import InfoNCE
from jepa_vl.losses.sigmoid import SigmoidLoss
from jepa_vl.losses.sigreg import SIGReg
from jepa_vl.losses.vicreg import VICReg

ROWS, DIM = 12, 5
# groups that repeat within a rank and across ranks, for 2 and for 4 ranks
GROUP = torch.tensor([0, 1, 2, 0, 3, 4, 1, 0, 5, 6, 4, 7])


def no_gradient(x: Tensor) -> Tensor:
    """The usual mistake: gather without a backward, and put the local rows back in place."""
    rows = [torch.empty_like(x) for _ in range(world().size)]
    dist.all_gather(rows, x.detach().contiguous())
    rows[world().rank] = x
    return torch.cat(rows)


@contextmanager
def gathered_by(gather: Callable[[Tensor], Tensor]) -> Iterator[None]:
    right = info_nce.gather_rows
    info_nce.gather_rows = gather
    try:
        yield
    finally:
        info_nce.gather_rows = right


CASES: dict[str, Callable[[], Loss]] = {
    "info_nce": InfoNCE,
    "info_nce, all targets": lambda: InfoNCE(distinct_targets=False),
    "info_nce, fixed": lambda: InfoNCE(learnable=False),
    "sigmoid": SigmoidLoss,
    "vicreg": VICReg,
    "sigreg": lambda: SIGReg(directions=16),
    "cosine": CosineLoss,
    "l1": L1Loss,
    "l2": L2Loss,
}
NAIVE = "info_nce, naive gather"


class Towers(nn.Module):
    """Two linear towers and a loss: the least that has a gradient on both sides and in the loss."""

    def __init__(self, loss: Loss) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.predict = nn.Linear(DIM, DIM)
        self.embed = nn.Linear(DIM, DIM).requires_grad_(not loss.needs_frozen_target)
        self.loss = loss

    def forward(self, x: Tensor, y: Tensor, group: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return self.loss(self.predict(x), self.embed(y), group)


def gradients(make: Callable[[], Loss]) -> dict[str, Any]:
    """Mean loss and DDP's gradients over two steps on this rank's share of the batch."""
    rank, size = world()
    towers = Towers(make()).double()
    model = DistributedDataParallel(towers) if size > 1 else towers
    share = slice(rank * ROWS // size, (rank + 1) * ROWS // size)
    generator = torch.Generator().manual_seed(1)
    values = []
    for _ in range(2):  # the second step: SIGReg's directions must be equal on all ranks there too
        x, y = torch.randn(2, ROWS, DIM, generator=generator, dtype=torch.float64)
        value, logged = model(x[share], y[share], GROUP[share])
        value.backward()
        values.append(value.detach())
    found = {name: p.grad for name, p in towers.named_parameters() if p.requires_grad}
    return {"loss": torch.stack(values), "gradients": found, "logged": logged}


def primitives() -> dict[str, Any]:
    """What the gathers return, and the gradient of a function that every rank has of all rows."""
    rank, _ = world()
    x = (torch.arange(6.0).reshape(3, 2) + 10 * rank).requires_grad_()
    rows = gather_rows(x)
    (rows * rows.detach() * (rank + 1)).sum().backward()
    y = torch.tensor([1.0, 2.0], requires_grad=True)
    total = sum_ranks(y * (rank + 1))
    (total * (rank + 1)).sum().backward()
    turned = gather_rows(x.detach().T)  # not contiguous
    z = torch.tensor([float(rank), -1e30], requires_grad=True)
    log_sum = log_sum_exp_ranks(z)
    (log_sum * (rank + 1)).sum().backward()
    return {
        "world": world(),
        "rows": rows.detach(),
        "rows_grad": x.grad,
        "total": total.detach(),
        "total_grad": y.grad,
        "turned": turned,
        "log_sum": log_sum.detach(),
        "log_sum_grad": z.grad,
        "ids": gather_ids(torch.tensor([rank, 2**62 + rank])),
    }


def uneven() -> list[str]:
    """What each gather, and each loss that gathers nothing, says when the last rank has a row less."""
    rank, size = world()
    rows = torch.zeros(3 - (rank == size - 1), 2)
    ids = rows[:, 0].long()
    said = []
    for compute in (
        lambda: gather_rows(rows),
        lambda: gather_ids(ids),
        lambda: VICReg()(rows, rows, ids),
        lambda: SIGReg()(rows, rows, ids),
    ):
        try:
            compute()
        except UserError as error:
            said.append(str(error))
    return said


def run_all(model: str) -> dict[str, Any]:
    found: dict[str, Any] = {name: gradients(make) for name, make in CASES.items()}
    if world().size > 1:
        with gathered_by(no_gradient):
            found[NAIVE] = gradients(InfoNCE)
        found["uneven"] = uneven()
    found["primitives"] = primitives()
    return found | {"objective": objective.run_all(model)}


def main() -> None:
    rank, size, store, model, out = sys.argv[1:]
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{store}",
        rank=int(rank),
        world_size=int(size),
        timeout=timedelta(seconds=120),
    )
    torch.save(run_all(model), f"{out}.{rank}")
    dist.barrier()  # nobody leaves while another may still be waiting for it
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
