"""AdamW with a learning rate for each part, and the two schedules: warm-up + constant, warm-up + cosine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from jepa_vl.errors import RecipeError, UserError

Factor = Callable[[int], float]


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """How an objective learns: AdamW. The paper names a constant rate of 5e-5 and no optimizer.

    Args:
        lr: Peak learning rate; a part's own multiplier applies on top of it.
        weight_decay: Decoupled weight decay of matrices; vectors and scalars (biases, norms, the
            temperature) have none.
        betas: AdamW's two averaging constants.
        eps: AdamW's epsilon.
        schedule: What follows the warm-up: a constant rate, or a half cosine down to ``floor``.
        warmup_steps: Optimizer steps over which the rate rises linearly from nothing.
        floor: Where the cosine ends, as a fraction of ``lr``.
    """

    lr: float = 1e-3
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-8
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup_steps: int = 100
    floor: float = 0.0

    def __post_init__(self) -> None:
        for name, right, want in (
            ("lr", self.lr > 0, "above 0"),
            ("weight_decay", self.weight_decay >= 0, "0 or more"),
            ("betas", all(0 <= b < 1 for b in self.betas), "two numbers from 0 up to, not including, 1"),
            ("eps", self.eps > 0, "above 0"),
            ("warmup_steps", self.warmup_steps >= 0, "0 or more"),
            ("floor", 0 <= self.floor <= 1, "between 0 and 1"),
        ):
            if not right:
                raise RecipeError(f"optimizer.{name} must be {want}, got {getattr(self, name)}")


def warmup_constant(warmup: int) -> Factor:
    """Return the factor of the rate at a step: 1/warmup, 2/warmup, …, 1, 1, 1."""
    return lambda step: min(1.0, (step + 1) / max(1, warmup))


def warmup_cosine(warmup: int, total: int, floor: float = 0.0) -> Factor:
    """Return the factor of the rate at a step: linear to 1, then half a cosine to ``floor`` at ``total``."""
    rise = warmup_constant(warmup)

    def factor(step: int) -> float:
        if step < warmup:
            return rise(step)
        done = min(1.0, (step - warmup) / max(1, total - warmup))
        return floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2

    return factor


def check_goes_on(optimizer: AdamW, groups: Sequence[dict[str, Any]]) -> None:
    """Compare an optimizer with the groups of the one whose states it is about to load, settings included.

    Raises:
        UserError: They differ. Torch refuses other groups, and takes the loaded settings without a word.
    """
    then, now = ({group["name"]: group for group in each} for each in (groups, optimizer.param_groups))
    instead = "leave it as it was to go on, or start from the checkpoint's weights by --init_from"
    if then.keys() != now.keys():
        raise UserError(
            f"the checkpoint has trained {', '.join(then)}, and this recipe trains "
            f"{', '.join(now)}: {instead}"
        )
    for name, group in now.items():
        for key in ("initial_lr", "weight_decay", "betas", "eps"):
            if group[key] != then[name][key]:
                raise UserError(
                    f"objective.optimizer.{key.removeprefix('initial_')}: {name} learns by {group[key]} "
                    f"here, and by {then[name][key]} in the checkpoint: {instead}"
                )


def build_optimizer(
    settings: OptimizerSettings,
    groups: Iterable[tuple[str, float, Sequence[nn.Parameter]]],
    total_steps: float,
) -> tuple[AdamW, LambdaLR]:
    """Make the optimizer and its schedule, to be stepped once after every optimizer step.

    Args:
        settings: Rates, decay and schedule.
        groups: (name, learning-rate multiplier, parameters) of each part; parameters that are frozen are
            left out, and those without weight decay get a group of their own, ``name/no-decay``.
        total_steps: Optimizer steps of the whole run; infinite or negative if not known.

    Raises:
        UserError: Nothing is left to train.
        RecipeError: A cosine over a run of unknown length.
    """
    parts: list[dict[str, Any]] = []
    for name, multiplier, params in groups:
        trained = [p for p in params if p.requires_grad]
        for suffix, decay, chosen in (
            ("", settings.weight_decay, [p for p in trained if p.ndim >= 2]),
            ("/no-decay", 0.0, [p for p in trained if p.ndim < 2]),
        ):
            if chosen:
                parts.append(
                    {
                        "params": chosen,
                        "lr": settings.lr * multiplier,
                        "weight_decay": decay,
                        "name": name + suffix,
                    }
                )
    if not parts:
        raise UserError("there is nothing to train: every part of the objective is frozen")
    if settings.schedule == "constant":
        factor = warmup_constant(settings.warmup_steps)
    elif 0 <= total_steps < math.inf:
        factor = warmup_cosine(settings.warmup_steps, int(total_steps), settings.floor)
    else:
        raise RecipeError(
            "optimizer.schedule 'cosine' needs to know where the run ends: set trainer.max_steps or "
            "trainer.max_epochs, or choose 'constant'"
        )
    optimizer = AdamW(parts, lr=settings.lr, betas=settings.betas, eps=settings.eps, fused=True)
    # fused is three times as fast on a CPU, but says that it would undo a gradient scaler's scaling itself,
    # for which Lightning refuses to clip gradients in mixed precision; false leaves that to the scaler
    optimizer._step_supports_amp_scaling = False
    return optimizer, LambdaLR(optimizer, factor)
