"""``python memory_worker.py CONFIG``: train two steps, print the bytes that the built process grew by."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from jepa_vl.checkpoint import build_objective
from jepa_vl.compare.costs.memory import peak_memory_mib, reset_peak_memory
from jepa_vl.planning.model import Lengths, shape_batch
from jepa_vl.schedule import build_optimizer


def resident() -> int:
    """Bytes in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def _warm_up() -> None:
    """Have the libraries make themselves at home: what they load is not the model's."""
    layer = torch.nn.TransformerEncoderLayer(64, 2)
    optimizer = torch.optim.AdamW(layer.parameters(), fused=True)
    layer(torch.randn(8, 4, 64)).sum().backward()
    optimizer.step()


def main() -> None:
    values = json.loads(Path(sys.argv[1]).read_text())
    from lightning.fabric import Fabric

    _warm_up()
    objective = build_objective(values).train()
    before = resident()  # building imports much: the weights are left out
    objective.fabric = Fabric(accelerator="cpu", devices=1)
    optimizer, _ = build_optimizer(objective.optimizer_settings, objective.learning_parts(), 10)
    size = values["data"]["init_args"]["batch_size"]
    reset_peak_memory()
    for _ in range(2):
        batch = shape_batch(objective, size, Lengths(8, 16), cached=False)  # here of zeros
        batch.target.ids += torch.arange(size)[:, None] % 30 + 4  # no two alike
        loss = objective.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(int(peak_memory_mib() * 2**20) - before)  # noqa: T201


if __name__ == "__main__":
    main()
