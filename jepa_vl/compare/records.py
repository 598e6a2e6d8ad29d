"""What a comparison leaves on disk, and where."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from jepa_vl.runs import RUNS

State = Literal["training", "evaluating", "finished", "diverged", "failed"]


class RunRecord(BaseModel):
    """One arm with one seed: ``run.json`` in the run's folder.

    Attributes:
        arm: Name of the arm.
        seed: The global seed.
        key: Hash of everything the run depends on; another key means that it must be run again.
        state: How far it is. A run that diverged has no budgets beyond the one before.
        message: Why it failed or diverged.
        steps: Optimizer steps taken.
        samples: Training samples seen.
        epochs: Passes through the training samples.
        train_seconds: Training time; validation and evaluation are not counted.
        peak_memory_mib: Most memory the training process held: of the GPU where there is one, resident
            otherwise.
        flops_per_sample: Floating-point operations of a training step, forward and backward, a sample;
            those of a frozen encoder whose tokens are cached are in ``flops_vision``.
        flops_vision: Those of the frozen encoder, once a sample.
        parameters: Part → {"trained": n, "frozen": n}, such as ``predictor``, ``text_encoder``,
            ``language_model``, ``token_embedding``.
        machine: See `RunInfo.machine`.
        commit: Commit of the source tree.
        date: ISO 8601, UTC.
    """

    model_config = ConfigDict(extra="forbid")

    arm: str
    seed: int
    key: str
    state: State
    message: str = ""
    steps: int = 0
    samples: int = 0
    epochs: float = 0.0
    train_seconds: float = 0.0
    peak_memory_mib: float = 0.0
    flops_per_sample: float = 0.0
    flops_vision: float = 0.0
    parameters: dict[str, dict[str, int]] = Field(default_factory=dict)
    machine: dict[str, Any] = Field(default_factory=dict)
    commit: str | None = None
    date: str = ""


def comparison_folder(name: str) -> Path:
    """``runs/compare/NAME``: ``control.json``, ``tuning.json``, ``report.html``, a folder for each arm."""
    return RUNS / "compare" / name


def run_name(comparison: str, arm: str, seed: int) -> str:
    """Name of a run, whose folder is ``runs/`` + it: ``compare/NAME/ARM/seed-1``."""
    return f"compare/{comparison}/{arm}/seed-{seed}"


def budget_folder(run: Path, step: int) -> Path:
    """Where a run's results after ``step`` steps are: ``results.json`` and ``outcomes.json``."""
    return run / "budgets" / f"{step:06d}"
