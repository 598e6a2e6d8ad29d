"""What both objectives share: the optimizer over their parts, and what they log of a training step."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from jepa_vl.component import Component
from jepa_vl.errors import RecipeError
from jepa_vl.objectives.base import Objective
from jepa_vl.objectives.layers import LayerSettings, checkpoint_layers, compile_layers
from jepa_vl.objectives.sharding import (
    clip_to_norm,
    gather_for_evaluation,
    shard_again,
    shard_parts,
    total_norm,
)
from jepa_vl.sample import Batch
from jepa_vl.schedule import OptimizerSettings, build_optimizer, check_goes_on

log = logging.getLogger(__name__)


class TrainedObjective(Objective):
    """An objective whose parts learn together, each at its own rate.

    Args:
        optimizer: Rates, weight decay and schedule.
        layers: How the layers of what is trained are run.
    """

    def __init__(self, *, optimizer: OptimizerSettings, layers: LayerSettings) -> None:
        super().__init__()
        self.optimizer_settings = optimizer
        self.layer_settings = layers
        self._truncated = 0
        self._configured = False
        self._trained_groups: list[dict[str, Any]] = []

    def configure_model(self) -> None:
        """Prepare the layers as ``layers`` says, and shard them where the strategy has a mesh; once.

        Raises:
            RecipeError: The mesh has a second dimension, by which the layers here are not split.
        """
        if self._configured:
            return
        self._configured = True
        if self.layer_settings.compile is not None:
            compile_layers(self, self.layer_settings.compile)
        if self.layer_settings.checkpoint_activations:
            checkpoint_layers(self)
        if self.device_mesh is not None:
            if self.device_mesh["tensor_parallel"].size() > 1:
                raise RecipeError(
                    "trainer.strategy: the layers are sharded, and not split within: set "
                    "data_parallel_size to the number of processes and tensor_parallel_size to 1"
                )
            shard_parts(self, self.device_mesh["data_parallel"])

    def on_fit_start(self) -> None:
        """Set training mode in all but what is frozen: what a library has pretrained comes in eval mode, and
        Lightning keeps the mode that it finds.
        """
        self.train()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note what the checkpoint has trained, and how; the optimizer's states are loaded later."""
        states = checkpoint.get("optimizer_states")  # not in a sharded one
        self._trained_groups = states[0]["param_groups"] if states else []

    def configure_optimizers(self) -> Any:
        """AdamW over everything that is not frozen, with a schedule stepped after every step.

        Raises:
            UserError: Training goes on from a checkpoint of another optimizer.
        """
        total = self.trainer.estimated_stepping_batches
        optimizer, schedule = build_optimizer(self.optimizer_settings, self.learning_parts(), total)
        if self._trained_groups:
            check_goes_on(optimizer, self._trained_groups)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def learning_parts(self) -> Iterator[tuple[str, float, list[nn.Parameter]]]:
        """Yield (name, learning-rate multiplier, trainable parameters) of each part; no name twice."""
        for name, part in self.named_children():
            groups: dict[float, list[nn.Parameter]] = {}
            if isinstance(part, Component):
                for multiplier, parameters in part.parameter_groups():
                    groups.setdefault(multiplier, []).extend(parameters)
            else:
                groups[1.0] = [p for p in part.parameters() if p.requires_grad]
            for multiplier, parameters in groups.items():
                label = name if multiplier == 1.0 else f"{name} × {multiplier:g}"
                if parameters:
                    yield label, multiplier, parameters

    @property
    def logs_now(self) -> bool:
        """Whether Lightning writes this training step's numbers; costly ones are left out of the others."""
        every: int = getattr(self.trainer, "log_every_n_steps", 0)  # set by the trainer, not declared
        return every > 0 and (self.trainer.global_step + 1) % every == 0

    def log_train(self, batch: Batch, loss: Tensor, **numbers: Tensor) -> None:
        """Log the loss of a training step, and further numbers on the steps that are written."""
        self._count_truncated(batch)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        if self.logs_now:
            self.log_dict({f"train/{k}": v for k, v in numbers.items()}, batch_size=len(batch))
            self.log("train/truncated_texts", float(self._truncated), batch_size=len(batch))

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Log the norm of the gradient, before clipping."""
        if self.logs_now:
            grads = [p.grad for p in self.parameters() if p.grad is not None]
            norm = nn.utils.get_total_norm(grads) if self.device_mesh is None else total_norm(grads)
            self.log("train/grad_norm", norm)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip as the trainer says; by norm also where some of the gradients are sharded and others not."""
        if self.device_mesh is None or not gradient_clip_val or gradient_clip_algorithm == "value":
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)
        else:
            clip_to_norm(self.parameters(), gradient_clip_val)

    def on_validation_model_eval(self) -> None:
        """Evaluate with whole weights: processes say texts of their own lengths."""
        super().on_validation_model_eval()
        gather_for_evaluation(self)

    def on_validation_model_train(self) -> None:
        """Go on training with shards."""
        super().on_validation_model_train()
        shard_again(self)

    def _count_truncated(self, batch: Batch) -> None:
        now = batch.query.truncated + batch.target.truncated
        if now and not self._truncated:
            log.warning(
                "%d of %d texts of this batch are longer than their encoder's context and were cut off; "
                "train/truncated_texts counts them from here on",
                now,
                2 * len(batch),
            )
        self._truncated += now
