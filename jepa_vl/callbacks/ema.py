"""A moving average of the trained weights, with which the objective is evaluated and used."""

from __future__ import annotations

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.distributed.tensor import DTensor

from jepa_vl.errors import RecipeError

TRAINED = "trained_weights"  # key of a checkpoint


class EMA(Callback):
    """After every step, average ← decay · average + (1 - decay) · weights, of what is trained.

    Validation is done with the average, and a checkpoint's ``state_dict`` holds it: what is tested, loaded
    and exported is the average. The weights themselves are kept beside it, and a resumed run goes on from
    them exactly. (Lightning's own callback averages frozen parts as well, gives the weights back before
    tasks have computed, and ends a run with the average in their place, from which no run goes on.)

    Args:
        decay: Share of the average that is kept in a step.
        start: Steps before which the average is the weights.

    Raises:
        RecipeError: A number out of range, or weights that are sharded (at the start of ``fit``).
    """

    def __init__(self, *, decay: float = 0.999, start: int = 0) -> None:
        if not 0 <= decay < 1:
            raise RecipeError(f"EMA.decay must be from 0 up to, not including, 1, found {decay}")
        if start < 0:
            raise RecipeError(f"EMA.start must not be negative, found {start}")
        self.decay = decay
        self.start = start
        self._average: dict[str, Tensor] = {}
        self._restored: dict[str, Tensor] | None = None
        self._steps = 0
        self._swapped = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with the weights, or with what a checkpoint held."""
        weights = _trained(pl_module)
        if any(isinstance(weight, DTensor) for weight in weights.values()):
            raise RecipeError("the callback EMA does not average sharded weights; leave one of the two out")
        self._average = {name: weight.detach().clone() for name, weight in weights.items()}
        self._swapped = False
        if self._restored is not None:
            # the state_dict that was loaded is the average; the weights come now
            with torch.no_grad():
                for name, weight in weights.items():
                    weight.copy_(self._restored[name])
        self._restored = None
        self._steps = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take in the weights after an optimizer step."""
        if trainer.global_step == self._steps:
            return  # gradients are accumulated
        self._steps = trainer.global_step
        weights = [weight.detach() for weight in _trained(pl_module).values()]
        share = 1.0 if self._steps <= self.start else 1 - self.decay
        torch._foreach_lerp_(list(self._average.values()), weights, share)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the average in the weights' place."""
        self._swap(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the weights back, before checkpoints are saved."""
        self._swap(pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the objective with the average; checkpoints were saved before."""
        self._swap(pl_module)
        self._average = {}

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Put the weights back where a validation was broken off."""
        if self._swapped:
            self._swap(pl_module)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put the average into the checkpoint's weights, and the weights beside them."""
        if not self._average:
            return
        state = checkpoint["state_dict"]
        checkpoint[TRAINED] = {name: state[name] for name in self._average}
        checkpoint["state_dict"] = {**state, **self._average}

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the weights until training begins."""
        self._restored = checkpoint.get(TRAINED)

    @torch.no_grad()
    def _swap(self, module: LightningModule) -> None:
        weights = _trained(module)
        for name, average in self._average.items():
            kept = weights[name].clone()
            weights[name].copy_(average)
            average.copy_(kept)
        self._swapped = not self._swapped


def _trained(module: LightningModule) -> dict[str, Tensor]:
    """Trained weights by name; a shared one once, by its first."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}
