"""How a run came about: the command, the code, the machine, the data and what training took."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import jepa_vl


@dataclass
class RunInfo:
    """What must be known to judge a number, or to get it again.

    Attributes:
        name: Name of the run.
        objective: Class name of the objective.
        command: The command line.
        recipe: The resolved recipe; empty when the run was not started from one.
        seed: The global seed, if one was set.
        version: Version of jepa-vl.
        commit: Commit of its source tree, with ``+`` when files were changed; None when it was installed.
        date: When the results were made, ISO 8601, UTC.
        machine: ``cpu``, ``cores`` (usable by the process), ``gpus``, ``processes``, ``torch``.
        data_hash: Hash of the manifest and its media.
        samples_seen: Training samples the model has seen, over all processes and resumed runs.
        steps: Optimizer steps it has taken.
        train_seconds: Time in training steps and waiting for their data; validation is not counted.
        trainable_parameters: Number of parameters that are trained.
        frozen_parameters: Number of parameters that are not.
        tasks: The settings of each task.
    """

    name: str
    objective: str
    command: str
    recipe: dict[str, Any]
    seed: int | None
    version: str
    commit: str | None
    date: str
    machine: dict[str, Any]
    data_hash: str
    samples_seen: int
    steps: int
    train_seconds: float
    trainable_parameters: int
    frozen_parameters: int
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def here(
        cls,
        *,
        name: str,
        model: torch.nn.Module,
        recipe: dict[str, Any] | None = None,
        processes: int = 1,
        **of: Any,
    ) -> RunInfo:
        """Describe this process and ``model``; the attributes that neither tells are given by name."""
        sizes = {
            trained: sum(p.numel() for p in model.parameters() if p.requires_grad is trained)
            for trained in (True, False)
        }
        seed = os.environ.get("PL_GLOBAL_SEED")
        return cls(
            name=name,
            objective=type(model).__name__,
            command=command_line(sys.argv),
            recipe=recipe or {},
            seed=None if seed is None else int(seed),
            version=jepa_vl.__version__,
            commit=source_commit(),
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            machine=machine() | {"processes": processes},
            trainable_parameters=sizes[True],
            frozen_parameters=sizes[False],
            **of,
        )


def command_line(argv: Sequence[str]) -> str:
    """Return the command as it can be typed again, without the folder of the program."""
    program = Path(argv[0]).name if argv else ""
    if program == "__main__.py":
        program = f"python -m {Path(argv[0]).parent.name}"
    return " ".join([program, *map(shlex.quote, argv[1:])])


def machine() -> dict[str, Any]:
    """Return the processor, the number of usable cores, the GPUs and the version of torch."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count()
    return {"cpu": _cpu(), "cores": cores, "gpus": gpus, "torch": torch.__version__}


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def source_commit() -> str | None:
    """Return the commit this package runs from, ``+`` for changed files; None outside a git checkout."""
    package = Path(jepa_vl.__file__).parent

    def git(*args: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *args], cwd=package, capture_output=True, text=True, timeout=10, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    # the checkout of another project may hold an environment with this package in it
    if not git("ls-files", "__init__.py"):
        return None
    commit = git("rev-parse", "--short=12", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no", ".")
    return None if commit is None else commit + ("+" if changed else "")
