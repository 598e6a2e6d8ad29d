"""How an arm's optimizer is set, and its learning rate at every step, found by going through the schedule."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer

from jepa_vl.compare.control.order import Process
from jepa_vl.errors import UserError
from jepa_vl.objectives.base import Objective


@dataclass(frozen=True)
class Rates:
    """What an optimizer does apart from the parameters it does it to.

    Attributes:
        optimizer: Its class and the settings of its steps.
        rate: The learning rate that the multipliers of the parts apply to.
        weight_decay: The largest of all groups of parameters.
        schedule: Of the factor of the rate: its hash over all steps, and the factor at each budget.
    """

    optimizer: str
    rate: float
    weight_decay: float
    schedule: str


def rates(objective: Objective, *, steps: int, at: Sequence[int]) -> Rates:
    """Ask an objective for its optimizer, and step through its schedule without training.

    Args:
        objective: Built; its trainer is set for the time of the call.
        steps: Optimizer steps of the run.
        at: Steps, from 1 on, at which the factor is told.

    Raises:
        UserError: It has no optimizer of the kind that can be gone through.
    """
    process = Process(steps)
    objective.trainer = process  # type: ignore[assignment]
    try:
        made: Any = objective.configure_optimizers()
    finally:
        objective.trainer = None
    optimizer = made.get("optimizer") if isinstance(made, dict) else made
    if not isinstance(optimizer, Optimizer):
        raise UserError(
            f"{type(objective).__name__}.configure_optimizers returns {type(made).__name__}; a comparison "
            "needs an optimizer, or a dict with 'optimizer' and 'lr_scheduler'"
        )
    schedule = made.get("lr_scheduler") if isinstance(made, dict) else None
    factors = _factors(optimizer, schedule, steps)
    groups = optimizer.param_groups
    settings = {key: groups[0][key] for key in ("betas", "momentum", "eps", "amsgrad") if key in groups[0]}
    told = ", ".join(f"{key} {value}" for key, value in settings.items())
    return Rates(
        optimizer=f"{type(optimizer).__name__} {told}".strip(),
        rate=float(optimizer.defaults["lr"]),
        weight_decay=max(float(group.get("weight_decay", 0.0)) for group in groups),
        schedule=_told(objective, factors, at),
    )


def _factors(optimizer: Optimizer, schedule: Any, steps: int) -> list[float]:
    """Return the factor of the learning rate of each step."""
    entry = schedule if isinstance(schedule, dict) else {"scheduler": schedule, "interval": "epoch"}
    scheduler: Any = entry.get("scheduler")
    by_step = scheduler is not None and entry.get("interval") == "step"
    group = optimizer.param_groups[0]
    base = group.get("initial_lr", group["lr"])
    factors = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch misses the optimizer's step before the schedule's
        for _ in range(steps):
            factors.append(float(group["lr"]) / float(base) if base else 0.0)
            if by_step:
                scheduler.step()
    return factors


def _told(objective: Objective, factors: Sequence[float], at: Sequence[int]) -> str:
    settings = getattr(objective, "optimizer_settings", None)
    kind = f"{settings.schedule}, warm-up {settings.warmup_steps}" if settings is not None else "its own"
    digest = hashlib.sha256(" ".join(f"{factor:.9g}" for factor in factors).encode()).hexdigest()
    shown = ", ".join(f"{factors[step - 1]:.3g} at {step}" for step in at)
    return f"{kind}: × {shown} · {digest}"
