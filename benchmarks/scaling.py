"""How a training step's memory and time grow with the batch, the frames and the processes, beside the plan.

Run    python benchmarks/scaling.py --batches 32 64 128 --frames 4 8 16 --ranks 1 2
Each row is a run of its own of eight steps on batches of zeros, with cached tokens; batches are of a process.
Memory is what the first process grows by once it is built, and the ratio is that of measured and planned
memory; time is that process's own on the processor, which says the same on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from steps import Clock, bare_trainer
from torch.utils.data import DataLoader

from jepa_vl.checkpoint import build_objective
from jepa_vl.cli.build import make_parser, parse
from jepa_vl.compare.costs.memory import peak_memory_mib, reset_peak_memory
from jepa_vl.planning.cards import Card
from jepa_vl.planning.model import Lengths, shape_batch
from jepa_vl.planning.plan import Plan, make_plan
from jepa_vl.recipe import load_recipe
from jepa_vl.recipe.resolve import resolve
from jepa_vl.sample import Batch

STEPS, MIB, PAGE = 8, 2**20, 4096
LENGTHS = Lengths(query=8, target=8)


def zeros(objective: Any, size: int) -> Batch:
    """A batch as it was planned: texts of one length, no two alike."""
    batch = shape_batch(objective, size, LENGTHS, cached=True)
    batch.target.ids += torch.arange(size)[:, None] + 1000
    return batch


def work(values: dict[str, Any], ranks: int) -> None:
    """Train, and print what it took as JSON."""
    objective = build_objective(values)
    size = values["data"]["init_args"]["batch_size"]
    batches = [zeros(objective, size)] * STEPS
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / MIB
    reset_peak_memory()
    clock = Clock()
    strategy = "ddp" if ranks > 1 else "auto"
    trainer = bare_trainer(clock, STEPS, accelerator="cpu", devices=ranks, strategy=strategy)
    trainer.fit(objective, DataLoader(batches, batch_size=None))  # type: ignore[arg-type]
    if trainer.is_global_zero:
        found = {"seconds": clock.seconds, "mib": peak_memory_mib() - resident}
        sys.stdout.write(json.dumps(found) + "\n")


def measured(values: dict[str, Any], ranks: int) -> dict[str, float]:
    """Train in a process of its own; each tensor there has its own pages, so that none is kept for others."""
    env = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-W",
        "ignore",
        __file__,
        "--ranks",
        str(ranks),
        "--worker",
        json.dumps(values),
    ]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("recipes/quickstart.yaml"))
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--frames", type=int, nargs="+", default=[4, 8, 16])
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker is not None:
        return work(json.loads(args.worker), args.ranks[0])
    table = Table(
        "batch", "frames", "processes", "measured MiB", "plan MiB", "ratio", "plan GFLOPs", "samples / CPU s"
    )
    rows = [(batch, args.frames[0], 1) for batch in args.batches]
    rows += [(args.batches[0], frames, 1) for frames in args.frames[1:]]
    rows += [(args.batches[0], args.frames[0], ranks) for ranks in args.ranks if ranks > 1]
    for batch, frames, ranks in rows:
        changes = {
            "data.batch_size": batch,
            "objective.vision_encoder.num_frames": frames,
            "trainer.devices": ranks,
        }
        recipe = load_recipe([args.config], [(key, str(value)) for key, value in changes.items()])
        values = parse(make_parser(), resolve(recipe)).as_dict()
        plan: Plan = make_plan(values, lengths=LENGTHS, card=Card("any", 1.0, None, ""), utilisation=1.0)
        weights = sum(part.weights for part in plan.memory.parts.values())
        planned = (plan.memory.total - weights) / MIB
        found = measured(values, ranks)
        table.add_row(
            *map(str, (batch, frames, ranks)),
            f"{found['mib']:,.0f}",
            f"{planned:,.0f}",
            f"{found['mib'] / planned:.2f}",
            f"{batch * plan.step.flops / 1e9:,.1f}",
            f"{batch / found['seconds']:,.1f}",
        )
    Console(width=110).print(table)
    return None


if __name__ == "__main__":
    main()
