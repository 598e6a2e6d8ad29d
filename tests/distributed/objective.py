"""The objective `jepa` on a share of each batch: under DDP or FSDP2, in micro-batches, with accumulation."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from jepa_vl.distributed import world
from jepa_vl.losses.info_nce import InfoNCE
from jepa_vl.objectives.jepa import JEPAObjective
from jepa_vl.predictors.transformer import TransformerPredictor
from jepa_vl.sample import Batch, Item, Sample
from jepa_vl.schedule import OptimizerSettings, build_optimizer
from jepa_vl.text.hf_text import HFText
from jepa_vl.vision.base import Preprocessing, VisionEncoder

ROWS, TOKENS, DIM = 16, 3, 6
# texts of uneven length, of which some stand on several ranks and some twice on one
TEXTS = ["red", "open the blue door", "no", "red", "a ball next to the box", "key", "no", "yes"]
# a large epsilon, so that Adam does not blow up gradients that are rounding noise around zero
SETTINGS = OptimizerSettings(lr=1e-2, eps=1e-3, schedule="constant", warmup_steps=0, weight_decay=0.1)


@dataclass(frozen=True)
class Case:
    """How one optimizer step is made.

    Attributes:
        sharded: FSDP2 in place of DDP.
        accumulate: Batches of the step.
        micro_batch: Samples a rank embeds at once.
    """

    sharded: bool = False
    accumulate: int = 1
    micro_batch: int | None = None


CASES = {
    "ddp": Case(),
    "ddp, accumulated": Case(accumulate=2),
    "ddp, micro-batches": Case(micro_batch=3),
    "ddp, micro-batches, accumulated": Case(micro_batch=3, accumulate=2),
    "fsdp": Case(sharded=True),
    "fsdp, accumulated": Case(sharded=True, accumulate=2),
    "fsdp, micro-batches": Case(sharded=True, micro_batch=3),
    "fsdp, micro-batches, accumulated": Case(sharded=True, micro_batch=3, accumulate=2),
}


class Cached(VisionEncoder):
    """Stands for a frozen encoder whose tokens come with the batch."""

    def __init__(self) -> None:
        super().__init__(frozen=True)
        self.dim, self.grid = DIM, (TOKENS, 1, 1)
        self.preprocessing = Preprocessing(size=(1, 1), num_frames=1)

    def forward(self, video: Tensor) -> Tensor:
        raise AssertionError("tokens are in the batch")

    def fingerprint(self) -> str:
        return "cached"


class Step(nn.Module):
    """What Lightning lets DDP see as the forward pass: from a batch to its loss."""

    def __init__(self, objective: JEPAObjective) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, batch: Batch) -> Tensor:
        return self.objective.loss(*self.objective(batch), batch.group)[0]


def build(model: str, micro_batch: int | None) -> JEPAObjective:
    torch.manual_seed(0)
    objective = JEPAObjective(
        vision_encoder=Cached(),
        predictor=TransformerPredictor(dim=16, layers=1, heads=2, query_model=model),
        text_encoder=HFText(model=model),
        loss=InfoNCE(temperature=0.2),
        embed_dim=8,
        micro_batch=micro_batch,
    )
    return objective.double().train()


def share_of(objective: JEPAObjective, number: int) -> Batch:
    """This rank's rows of a global batch: every W-th, as the training sampler deals them."""
    rank, size = world()
    generator = torch.Generator().manual_seed(number)
    items = [
        Item(
            Sample(
                id=str(i), media="clip", query=["", "what colour?"][i % 2], target=TEXTS[(i * i + number) % 8]
            ),
            index=i,
            tokens=torch.randn(TOKENS, DIM, generator=generator, dtype=torch.float64),
        )
        for i in range(ROWS)
    ]
    return objective.collator()(items[rank::size])


def run(case: Case, model: str) -> dict[str, Tensor]:
    """Take one step, and return loss, gradients, parameters and Adam's first moments, all whole."""
    objective = build(model, case.micro_batch)
    step: nn.Module = Step(objective)
    parts: list[FSDPModule] = []
    if world().size > 1 and case.sharded:
        mesh = init_device_mesh("cpu", (world().size,))
        parts = [fully_shard(part, mesh=mesh) for part in (objective.predictor, objective.text_encoder)]
    elif world().size > 1:
        step = DistributedDataParallel(step)
    optimizer, _ = build_optimizer(SETTINGS, objective.learning_parts(), 10)
    losses = []
    for number in range(case.accumulate):
        last = number == case.accumulate - 1
        for part in parts:
            part.set_requires_gradient_sync(last)
        waiting: AbstractContextManager[None] = nullcontext()
        if isinstance(step, DistributedDataParallel) and not last:
            waiting = step.no_sync()
        with waiting:
            loss = step(share_of(objective, number)) / case.accumulate
            loss.backward()
        losses.append(loss.detach())
    if parts:  # FSDP2 takes no scalar parameters: the temperature's gradient is averaged by hand
        for parameter in objective.loss.parameters():
            dist.all_reduce(parameter.grad)
            parameter.grad /= world().size
    gradients = {n: whole(p.grad) for n, p in objective.named_parameters() if p.grad is not None}
    optimizer.step()
    trained = {n: p for n, p in objective.named_parameters() if p.requires_grad}
    return {
        "loss": torch.stack(losses).sum(),
        **{f"gradient of {n}": g for n, g in gradients.items()},
        **{f"weight {n}": whole(p.detach()) for n, p in trained.items()},
        **{f"moment of {n}": whole(optimizer.state[p]["exp_avg"]) for n, p in trained.items()},
    }


def whole(x: Any) -> Tensor:
    return x.full_tensor() if isinstance(x, DTensor) else x.clone()


def run_all(model: str) -> dict[str, dict[str, Tensor]]:
    """Run every case; one process has the cases of a whole batch at once, for both ways of splitting it."""
    if world().size == 1:
        plain = {n: run(Case(accumulate=n), model) for n in (1, 2)}
        return {name: plain[case.accumulate] for name, case in CASES.items()}
    return {name: run(case, model) for name, case in CASES.items()}
