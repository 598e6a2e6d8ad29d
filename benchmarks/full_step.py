"""The full-size training step on a GPU, of VL-JEPA and its token-space twin, beside the card's matrix rate.

Run    python benchmarks/full_step.py --batches 16 32 64
       python benchmarks/full_step.py --device cpu --recipes small.yaml --batches 2    # to try the script
A frozen ViT-L sees 8 frames at 256² (1,024 visual tokens); VL-JEPA trains 8 of Llama-3.2-1B's layers and a
text encoder of 300 M, its twin all 16 layers. Shapes are those of the recipes, weights are random, frames are
noise in memory. Each row is a training of its own by Lightning's Trainer, with clipping and AdamW: samples/s
by the median step, operations by the plan (none that are done a second time count), their share of the rate
of bf16 matrix products measured in the same run, and the most memory that the allocator held.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import math
import platform
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule, seed_everything
from rich.console import Console
from rich.table import Table
from steps import Clock, bare_trainer
from torch.utils.data import DataLoader

from jepa_vl.checkpoint import build_objective
from jepa_vl.cli.build import make_parser, parse
from jepa_vl.data.base import SampleData
from jepa_vl.objectives.system import no_tokens
from jepa_vl.objectives.trained import TrainedObjective
from jepa_vl.planning.cards import Card
from jepa_vl.planning.model import Lengths
from jepa_vl.planning.plan import Plan, make_plan
from jepa_vl.pretrained.weights import random_weights
from jepa_vl.recipe import load_recipe
from jepa_vl.recipe.resolve import resolve
from jepa_vl.sample import Batch, Sample, TextTokens

STEPS = 8
SIDE = {"cuda": 8192, "cpu": 512}  # of the matrices that are multiplied
LENGTHS = Lengths(query=0, target=32)
RECIPES = Path(__file__).parents[1] / "recipes"
CARD = Card("any", 1.0, None, "")
#: What is changed for one GPU, whatever else is.
ALONE = {
    "trainer.devices": "1",
    "trainer.num_nodes": "1",
    "trainer.strategy": "auto",
    "data.batch_size": "8",
}
VARIANTS = {
    "as it is": {},
    "compiled": {"objective.layers.compile": "inductor"},
    "activations again": {"objective.layers.checkpoint_activations": "true"},
    "both": {"objective.layers.compile": "inductor", "objective.layers.checkpoint_activations": "true"},
}


def when_done() -> float:
    """Wait for the GPU and return the time."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


def values_of(recipe: Path, changes: dict[str, str]) -> dict[str, Any]:
    """Resolve a recipe."""
    found: dict[str, Any] = parse(
        make_parser(), resolve(load_recipe([recipe], list((ALONE | changes).items())))
    ).as_dict()
    return found


def noise(objective: TrainedObjective, size: int, seed: int) -> Batch:
    """Make a batch of random frames and texts, no two alike."""
    encoder = objective.vision_encoder
    assert encoder is not None
    generator = torch.Generator().manual_seed(seed)
    read = encoder.preprocessing
    shape = (size, read.num_frames, 3, *read.size)
    ids = torch.randint(1000, 30_000, (size, LENGTHS.target), generator=generator)
    texts = tuple(map(tuple, ids.tolist()))
    return Batch(
        samples=[Sample(id=str(i), media="noise", target="noise") for i in range(size)],
        index=torch.arange(size),
        group=torch.arange(size),
        query=no_tokens([""] * size),
        target=TextTokens(ids, torch.ones_like(ids, dtype=torch.bool), rows=texts),
        longest_text=LENGTHS.query + LENGTHS.target,
        video=torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator),
    )


class Noise(LightningDataModule):
    """Two batches by turns, on their way to the device as those of real data are."""

    transfer_batch_to_device = SampleData.transfer_batch_to_device

    def __init__(self, objective: TrainedObjective, size: int, device: str) -> None:
        super().__init__()
        batches = [noise(objective, size, seed) for seed in range(2)]
        if device == "cuda":
            batches = [batch.pin_memory() for batch in batches]
        self.batches = batches * math.ceil(STEPS / 2)

    def train_dataloader(self) -> DataLoader[Batch]:
        """One pass is the whole training."""
        return DataLoader(self.batches, batch_size=None)  # type: ignore[arg-type]


def train(values: dict[str, Any], size: int, device: str) -> tuple[float, float]:
    """Train some steps: seconds of one, and the most GiB that were held on a GPU."""
    seed_everything(0, verbose=False)
    with torch.device(device), random_weights():
        objective = build_objective(values)
    assert isinstance(objective, TrainedObjective)
    clock = Clock(when_done)
    options = {key: values["trainer"][key] for key in ("precision", "gradient_clip_val")}
    trainer = bare_trainer(clock, STEPS, accelerator=device, **options)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    trainer.fit(objective, datamodule=Noise(objective, size, device))
    return clock.seconds, torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else math.nan


def matrix_rate(device: str) -> float:
    """Measure bf16 matrix products of random numbers, in operations a second: the median of thirty."""
    side = SIDE[device]
    left, right = torch.randn(2, side, side, device=device, dtype=torch.bfloat16)
    seconds = []
    for _ in range(35):
        began = time.perf_counter()
        left @ right
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return 2 * side**3 / statistics.median(seconds[5:])


def planned(values: dict[str, Any]) -> float:
    """Operations of a sample."""
    plan: Plan = make_plan(values, lengths=LENGTHS, card=CARD, utilisation=1.0)
    return plan.flops_per_sample


def row(values: dict[str, Any], size: int, flops: float, rate: float, device: str) -> list[str]:
    """Measure one training; one that does not fit says so."""
    began = time.perf_counter()
    try:
        seconds, gib = train(values, size, device)
    except torch.OutOfMemoryError:
        return ["", "", "", "", "does not fit", ""]
    finally:
        gc.collect()
        torch.cuda.empty_cache()
        torch.compiler.reset()
    done = flops * size / seconds
    all_ = time.perf_counter() - began
    cells = [f"{size / seconds:.1f}", f"{seconds:.3f}", f"{done / 1e12:.0f}", f"{done / rate:.0%}"]
    return [*cells, f"{gib:.1f}", f"{all_:.0f}"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    both = [RECIPES / "paper.yaml", RECIPES / "paper-token.yaml"]
    parser.add_argument("--recipes", type=Path, nargs="+", default=both)
    parser.add_argument("--device", choices=list(SIDE), default="cuda")
    parser.add_argument("--flops", type=float, nargs="+", help="of a sample, by recipe; else it is planned")
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("needs a CUDA GPU")
    warnings.filterwarnings("ignore")
    console = Console(width=130)
    rate = matrix_rate(options.device)
    titles = ("samples/s", "step s", "TFLOP/s", f"ratio to {rate / 1e12:.0f}", "peak GiB", "all s")
    table = Table("recipe", "layers", "batch", *titles)
    told = options.flops or [planned(values_of(recipe, {})) for recipe in options.recipes]
    for size, variant in itertools.product(options.batches, options.variants):
        for recipe, flops in zip(options.recipes, told, strict=True):
            values = values_of(recipe, VARIANTS[variant])
            cells = row(values, size, flops, rate, options.device)
            console.print(recipe.stem, variant, size, *cells)
            table.add_row(recipe.stem, variant, str(size), *cells)
    console.print(table)
    name = torch.cuda.get_device_name() if options.device == "cuda" else platform.machine()
    versions = f"torch {torch.__version__}, CUDA {torch.version.cuda}"
    console.print(f"{name}, {values['trainer']['precision']}, {versions}")


if __name__ == "__main__":
    main()
