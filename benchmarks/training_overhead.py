"""Training speed beside a bare PyTorch loop over the same modules and the same batches.

Run    python benchmarks/training_overhead.py --config recipes/quickstart.yaml --steps 30 --rounds 7
Prints the medians of both and the median of their ratio, measured in turn in one process. The first
steps of each turn are left out of its time.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer
from rich.console import Console
from rich.table import Table

from jepa_vl.callbacks.defaults import default_callbacks
from jepa_vl.cli.build import Parts, build, make_parser, parse
from jepa_vl.objectives.jepa import JEPAObjective
from jepa_vl.recipe import load_recipe
from jepa_vl.recipe.resolve import resolve
from jepa_vl.schedule import build_optimizer

SKIPPED = 3  # steps of each turn that are not timed


class Clock(Callback):
    """Notes when each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        """Note the time."""
        self.ends.append(time.perf_counter())


def lightning_loop(parts: Parts, steps: int, folder: Path) -> float:
    """Steps per second of `Trainer.fit` with the callbacks and the logger that a user gets."""
    clock = Clock()
    options = {**parts.trainer, "max_steps": steps, "limit_val_batches": 0, "num_sanity_val_steps": 0}
    options |= {"enable_progress_bar": False, "enable_model_summary": False, "default_root_dir": folder}
    options |= {"val_check_interval": None}
    callbacks = [
        c
        for c in default_callbacks(run_dir=folder, tasks=[], data=parts.data)
        if not type(c).__name__.lower().startswith(("progress", "model", "last"))
    ]
    trainer = Trainer(**{**options, "callbacks": [*callbacks, clock], "enable_checkpointing": False})
    trainer.fit(parts.objective, datamodule=parts.data)
    return (steps - SKIPPED) / (clock.ends[-1] - clock.ends[SKIPPED - 1])


def bare_loop(parts: Parts, steps: int) -> float:
    """Steps per second of the same mathematics, written out."""
    objective = parts.objective
    assert isinstance(objective, JEPAObjective)
    groups = list(objective.learning_parts())
    optimizer, schedule = build_optimizer(objective.optimizer_settings, groups, steps)
    learning = [p for _, _, parameters in groups for p in parameters]
    objective.train()
    ends = []
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
        ends.append(time.perf_counter())
    return (steps - SKIPPED) / (ends[-1] - ends[SKIPPED - 1])


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--config", type=Path, default=Path("recipes/quickstart.yaml"))
    arguments.add_argument("--steps", type=int, default=30)
    arguments.add_argument("--rounds", type=int, default=7)
    options = arguments.parse_args()
    parser = make_parser()
    values = resolve(load_recipe([options.config], []))
    values["name"] = "overhead"
    config = parse(parser, values)
    config.pop("ckpt_path", None)
    parts = build(parser, config)
    folder = Path("runs/overhead")
    lightning_loop(parts, SKIPPED + 1, folder)  # data and features are there from here on
    ours, bare = [], []
    for turn in range(options.rounds):
        pair = [lambda: ours.append(lightning_loop(parts, options.steps, folder))]
        pair.append(lambda: bare.append(bare_loop(parts, options.steps)))
        for measure in pair if turn % 2 == 0 else reversed(pair):
            measure()
    ratio = statistics.median(a / b for a, b in zip(ours, bare, strict=True))
    table = Table("loop", "steps/s, median", "min", "max")
    for name, speeds in (("jepa-vl fit", ours), ("bare PyTorch", bare)):
        row = (statistics.median(speeds), min(speeds), max(speeds))
        table.add_row(name, *(f"{x:.2f}" for x in row))
    console = Console()
    console.print(table)
    console.print(f"ratio of speeds, median of {options.rounds} pairs: {ratio:.3f}")
    console.print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
