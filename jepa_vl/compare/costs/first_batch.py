"""Counts on the first training batch what a step costs and how large the parts are."""

from __future__ import annotations

from typing import Any

from lightning import Callback, LightningModule, Trainer

from jepa_vl.compare.costs.training import count
from jepa_vl.compare.records import RunRecord
from jepa_vl.objectives.base import Objective


class FirstBatch(Callback):
    """Fills in the FLOPs and parameters of a record, unless it has them; training is not changed by it.

    Args:
        record: Of the run.
    """

    def __init__(self, record: RunRecord) -> None:
        self.record = record

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Count, before the clock of the step starts."""
        if self.record.parameters:
            return
        assert isinstance(pl_module, Objective)
        cost = count(pl_module, batch)
        self.record.flops_per_sample = cost.flops_per_sample
        self.record.flops_vision = cost.flops_vision
        self.record.parameters = cost.parameters
