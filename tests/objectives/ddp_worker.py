"""``python ddp_worker.py STRATEGY DEVICES MODEL FOLDER OBJECTIVE…``: train a few steps, save what learned.

Each goes to ``FOLDER/OBJECTIVE.pt``. An OBJECTIVE may be ``jepa in parts`` as well, which embeds one sample
at once where there are two processes. STRATEGY is ``ddp``, ``static`` (a static graph) or ``sharded``, whose
checkpoint is ``FOLDER/OBJECTIVE.ckpt``.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer, seed_everything
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from torch.distributed.tensor import DTensor
from torch.utils.data import DataLoader

sys.path.insert(0, str(Path(__file__).parent))
from conftest import QUERIES, SETTINGS, TARGETS, items, make_objective  # type: ignore[import-not-found]
from jepa_vl.checkpoint_io import keep_whole
from jepa_vl.objectives.layers import LayerSettings

# a large epsilon, so that Adam does not blow up gradients that are rounding noise around zero
OPTIMIZER = replace(SETTINGS, eps=1e-3)


def strategy(name: str, devices: int) -> Any:
    if devices == 1:
        return "auto"
    if name == "sharded":
        return ModelParallelStrategy(data_parallel_size=devices, tensor_parallel_size=1)
    return DDPStrategy(static_graph=name == "static")


def main() -> None:
    kind, devices, model, folder, *names = sys.argv[1:]
    for name in names:
        train(name, kind, int(devices), model, Path(folder))


def train(name: str, kind: str, size: int, model: str, folder: Path) -> None:
    seed_everything(0)
    layers = LayerSettings(checkpoint_activations=kind == "sharded")
    options: dict[str, Any] = {"layers": layers}
    kept = folder / name
    if name == "jepa in parts":
        name, options["micro_batch"] = "jepa", 1 if size > 1 else None
    objective = make_objective(name, model, frozen=False, optimizer=OPTIMIZER, **options)
    # the first batch has no query; a repeated target lies on both ranks
    queries = [""] * 4 + QUERIES
    chosen = items([*TARGETS, "red", "no", "a red ball next to the box", "red"], queries)
    rank = int(os.environ.get("LOCAL_RANK", 0))
    loader = DataLoader(chosen[rank::size], batch_size=4 // size, collate_fn=objective.collator())  # type: ignore[arg-type]
    # in order: four samples a step in all, whatever the number of processes
    trainer = Trainer(
        use_distributed_sampler=False,
        accelerator="cpu",
        devices=size,
        strategy=strategy(kind, size),
        max_epochs=3,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=0.5,
        default_root_dir=str(folder),
    )
    keep_whole(trainer)
    trainer.fit(objective, loader)
    learned = {n: p.detach() for n, p in objective.named_parameters() if p.requires_grad}
    whole = {n: p.full_tensor() if isinstance(p, DTensor) else p for n, p in learned.items()}
    if kind == "sharded" and size > 1:
        assert any(isinstance(p, DTensor) for p in learned.values())
        for _ in range(2):  # the second takes the first one's place
            trainer.save_checkpoint(f"{kept}.ckpt")
        assert [path.name for path in folder.glob(f"{kept.name}.ckpt*")] == [f"{kept.name}.ckpt"]
    if trainer.is_global_zero:
        torch.save(whole, f"{kept}.pt")


if __name__ == "__main__":
    main()
