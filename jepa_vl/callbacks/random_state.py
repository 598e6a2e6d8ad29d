"""The state of the random generators, in every checkpoint: dropout goes on as if the run had not stopped."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer

from jepa_vl.distributed import world


class RandomState(Callback):
    """Saves the generators of Python, NumPy and torch on every process, and restores them on resume.

    A run that is resumed by another number of processes keeps the generators it was seeded with.
    """

    def __init__(self) -> None:
        self._restored: list[dict[str, Any]] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all processes; called on every one of them when a checkpoint is saved."""
        mine = _states()
        every: list[Any] = [mine]
        if world().size > 1:
            every = [None] * world().size
            dist.all_gather_object(every, mine)
        return {"processes": every}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training begins; what comes before it draws numbers of its own."""
        self._restored = state_dict["processes"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore this process's generators."""
        if self._restored is not None and len(self._restored) == trainer.world_size:
            _restore(self._restored[trainer.global_rank])
        self._restored = None


def _states() -> dict[str, Any]:
    version, keys, gauss = random.getstate()
    name, table, *rest = np.random.get_state(legacy=True)
    return {  # plain numbers and tensors, which torch.load reads without running code
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": [version, list(keys), gauss],
        "numpy": [name, torch.from_numpy(np.asarray(table).astype(np.int64)), *rest],
    }


def _restore(states: dict[str, Any]) -> None:
    torch.set_rng_state(states["torch"].cpu())
    if len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])
    version, keys, gauss = states["python"]
    random.setstate((version, tuple(keys), gauss))
    name, table, *rest = states["numpy"]
    np.random.set_state((name, table.numpy().astype(np.uint32), *rest))
