"""Training on cached tokens of the frozen encoder beside encoding every clip in every step.

Run    python benchmarks/features.py --config recipes/quickstart.yaml --steps 20 --rounds 5
Both train in turn in one process on one thread; seconds are of processor time. The last line is the encoder
alone, on clips that are in memory: what it costs to fill the cache, once.
"""

from __future__ import annotations

import statistics
import time

import torch
from rich.console import Console
from rich.table import Table
from steps import SKIPPED, Clock, bare_trainer, build_parts, changes, recipe_arguments

from jepa_vl.cli.build import Parts
from jepa_vl.cli.run import quiet
from jepa_vl.data.splits import SplitData

BATCH = 16  # clips that the encoder takes at a time, when it is measured alone
CACHED, LIVE = "cached tokens", "clips, encoded live"


def samples_per_second(parts: Parts, steps: int) -> float:
    """Train for some steps, without validation and logs."""
    clock = Clock()
    precision = {key: parts.trainer[key] for key in ("precision",) if key in parts.trainer}
    trainer = bare_trainer(clock, steps + SKIPPED, accelerator="cpu", **precision)
    trainer.fit(parts.objective, datamodule=parts.data)
    assert isinstance(parts.data, SplitData)
    return clock.speed * parts.data.batch_size


@torch.inference_mode()
def clips_per_second(parts: Parts, rounds: int) -> float:
    """Encode a batch several times; returns the median."""
    encoder = parts.objective.vision_encoder
    assert encoder is not None
    read = encoder.preprocessing
    video = torch.randint(0, 256, (BATCH, read.num_frames, 3, *read.size), dtype=torch.uint8)
    encoder(video)
    found = []
    for _ in range(rounds):
        begun = time.process_time()
        encoder(video)
        found.append(BATCH / (time.process_time() - begun))
    return statistics.median(found)


def main() -> None:
    """Measure and print."""
    options = recipe_arguments(__doc__).parse_args()
    quiet()
    torch.set_num_threads(1)
    parts = {
        name: build_parts(options.config, [*changes(options.set), ("data.cache_features", cached)])
        for name, cached in ((CACHED, "true"), (LIVE, "false"))
    }
    alone = clips_per_second(parts[LIVE], options.rounds)
    speeds: dict[str, list[float]] = {name: [] for name in parts}
    for turn in range(options.rounds):
        for name in (CACHED, LIVE) if turn % 2 == 0 else (LIVE, CACHED):
            speeds[name].append(samples_per_second(parts[name], options.steps))
    ratio = statistics.median(a / b for a, b in zip(*speeds.values(), strict=True))
    table = Table("training on", "samples / CPU s, median", "min", "max", "peer", "ratio")
    for name, found in speeds.items():
        numbers = (f"{x:,.1f}" for x in (statistics.median(found), min(found), max(found)))
        table.add_row(name, *numbers, *((LIVE, f"{ratio:.2f}") if name == CACHED else ("", "")))
    table.add_row("(the encoder alone)", f"{alone:,.1f}")
    title = f"{options.config}, {options.steps} steps, {options.rounds} rounds, one thread"
    Console(width=110).print(title, table, sep="\n")


if __name__ == "__main__":
    main()
