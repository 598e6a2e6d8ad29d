"""Training speed beside a bare PyTorch loop over the same modules and the same batches.

Run    python benchmarks/training_overhead.py --config recipes/quickstart.yaml --steps 30 --rounds 7
`jepa-vl fit` has the callbacks and the logger that a user gets, without validation, checkpoints and the
progress bar; the bare loop is the same mathematics written out. Both run in turn in one process on one
thread; seconds are of processor time.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import torch
from lightning import Trainer
from rich.console import Console
from rich.table import Table
from steps import SKIPPED, Clock, build_parts, changes, recipe_arguments

from jepa_vl.callbacks.defaults import default_callbacks
from jepa_vl.cli.build import Parts
from jepa_vl.cli.run import quiet
from jepa_vl.objectives.jepa import JEPAObjective
from jepa_vl.schedule import build_optimizer

OURS, PEER = "jepa-vl fit", "bare PyTorch loop"


def lightning_loop(parts: Parts, steps: int, folder: Path) -> float:
    """Steps per second of `Trainer.fit` with the callbacks and the logger that a user gets."""
    clock = Clock()
    options = {**parts.trainer, "max_steps": steps, "limit_val_batches": 0, "num_sanity_val_steps": 0}
    options |= {"accelerator": "cpu", "devices": 1}
    options |= {"enable_progress_bar": False, "enable_model_summary": False, "default_root_dir": folder}
    options |= {"val_check_interval": None}
    callbacks = [
        c
        for c in default_callbacks(run_dir=folder, tasks=[], data=parts.data)
        if not type(c).__name__.lower().startswith(("progress", "model", "last"))
    ]
    trainer = Trainer(**{**options, "callbacks": [*callbacks, clock], "enable_checkpointing": False})
    trainer.fit(parts.objective, datamodule=parts.data)
    return clock.speed


def bare_loop(parts: Parts, steps: int) -> float:
    """Steps per second of the same mathematics, written out."""
    objective = parts.objective
    assert isinstance(objective, JEPAObjective)
    groups = list(objective.learning_parts())
    optimizer, schedule = build_optimizer(objective.optimizer_settings, groups, steps)
    learning = [p for _, _, parameters in groups for p in parameters]
    objective.train()
    clock = Clock()
    batches = iter(parts.data.train_dataloader())
    for _ in range(steps):
        batch = next(batches)
        predicted = objective.predictor(objective.visual_tokens(batch), batch.query)
        loss, _ = objective.loss(predicted, objective.text_encoder(batch.target), batch.group)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        schedule.step()
        clock.note()
    return clock.speed


def main() -> None:
    """Measure and print."""
    options = recipe_arguments(__doc__).parse_args()
    quiet()
    torch.set_num_threads(1)
    parts = build_parts(options.config, changes(options.set))
    steps = options.steps + SKIPPED
    speeds: dict[str, list[float]] = {OURS: [], PEER: []}
    with tempfile.TemporaryDirectory() as folder:
        lightning_loop(parts, SKIPPED + 1, Path(folder))  # data and features are there from here on
        for turn in range(options.rounds):
            for name in (OURS, PEER) if turn % 2 == 0 else (PEER, OURS):
                ours = name == OURS
                speed = lightning_loop(parts, steps, Path(folder)) if ours else bare_loop(parts, steps)
                speeds[name].append(speed)
    ratio = statistics.median(a / b for a, b in zip(*speeds.values(), strict=True))
    table = Table("loop", "steps / CPU s, median", "min", "max", "peer", "ratio")
    for name, found in speeds.items():
        numbers = (f"{x:.2f}" for x in (statistics.median(found), min(found), max(found)))
        table.add_row(name, *numbers, *((PEER, f"{ratio:.3f}") if name == OURS else ("", "")))
    title = f"{options.config}, {options.steps} steps, {options.rounds} rounds, one thread"
    Console(width=110).print(title, table, sep="\n")


if __name__ == "__main__":
    main()
