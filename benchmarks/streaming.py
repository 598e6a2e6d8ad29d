"""What it costs to follow a stream: pace, latency a window, where the time goes, and memory over hours.

Run    python benchmarks/streaming.py --model runs/sft --decoder runs/decoder --video walk.mp4
       python benchmarks/streaming.py --hours 6
Prints, for each policy, one window at a time as in a live stream: seconds of computing a second of stream
and how many times faster than real time that is, median and 95th percentile of the time a window takes from
its last frame to its text (if any), and the share of each phase. With ``--hours``, peak memory along a
synthetic stream of that length, and its pace. Without ``--model``, a stand-in that costs nothing: what is
left is the runner's own.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

import jepa_vl
from jepa_vl.objectives.base import DECODE, EMBED, GENERATE, Collator, Objective
from jepa_vl.objectives.collate import Collate
from jepa_vl.sample import Batch, TextTokens
from jepa_vl.streaming.base import Follower
from jepa_vl.streaming.live.encoding import WindowEncoder
from jepa_vl.streaming.live.source import open_source
from jepa_vl.streaming.live.steps import Steps
from jepa_vl.streaming.live.tally import PHASES, Tally
from jepa_vl.streaming.live.windows import Windows
from jepa_vl.streaming.policies.online import TriggeredPolicy
from jepa_vl.use import Model
from jepa_vl.vision.base import Preprocessing, VisionEncoder

WINDOW, STRIDE, FRAMES = 1.0, 0.5, 4  # seconds, seconds, frames a second of the synthetic stream
WARM_UP = 5  # windows


class CoarsePixels(VisionEncoder):
    """A frame's 4 × 4 mean colours."""

    per_frame = True

    def __init__(self) -> None:
        super().__init__(frozen=True)
        self.dim, self.grid, self.preprocessing = 48, (4, 1, 1), Preprocessing(size=(64, 64), num_frames=4)

    def forward(self, video: Tensor) -> Tensor:
        """Encode ``[B, T, 3, H, W]`` to ``[B, T, 48]``."""
        pixels = video.flatten(0, 1).float() / 255
        return F.adaptive_avg_pool2d(pixels, 4).flatten(1).unflatten(0, video.shape[:2])

    def fingerprint(self) -> str:
        """There is one."""
        return "coarse-pixels"


class StandIn(Objective):
    """Embeds a window as its mean colours, and says nothing of interest."""

    abilities = frozenset({EMBED, GENERATE, DECODE})

    def __init__(self) -> None:
        super().__init__()
        self.vision_encoder = CoarsePixels()

    def collator(self) -> Collator:
        """Tokenise nothing."""
        return Collate(query=_nothing, target=_nothing)

    def embed_video(self, batch: Batch) -> Tensor:
        """Return ``[B, 48]``."""
        return F.normalize(self.visual_tokens(batch).mean(dim=1) - 0.5, dim=1)

    def decode(self, embeddings: Tensor, *, max_new_tokens: int | None = None) -> list[str]:
        """Return B texts."""
        return ["something"] * len(embeddings)


def _nothing(texts: Sequence[str]) -> TextTokens:
    return TextTokens(torch.zeros(len(texts), 0).long(), torch.zeros(len(texts), 0).bool())


def synthetic(hours: float, side: int = 64) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Scenes of 1 to 20 seconds with some noise, made as they are asked for."""
    random = np.random.default_rng(0)
    left = 0
    for i in range(int(hours * 3600 * FRAMES)):
        if not left:
            left = int(random.integers(1, 20) * FRAMES)
            scene = random.integers(0, 200, (4, 4, 3)).repeat(side // 4, 0).repeat(side // 4, 1)
        left -= 1
        yield i / FRAMES, (scene + random.integers(0, 40, scene.shape)).astype(np.uint8)


def live(model: Model, source: Any, follower: Follower) -> tuple[Tally, list[float], list[float]]:
    """Follow a stream one window at a time: counts, seconds of each window, seconds of those with a text."""
    tally = Tally()
    encoder = WindowEncoder(model, "", tally)
    cut = Windows(open_source(source), model.preprocessing, window=WINDOW, stride=STRIDE)
    each, spoken = [], []
    read = time.perf_counter()
    for window in cut:
        begun = time.perf_counter()
        embedding = encoder.embed([window])[0]
        with tally.timed("policy"):
            decode = follower.push(window.centre, embedding)
        if decode is not None:
            encoder.decode(decode.embedding)
            tally.decodes += 1
        done = time.perf_counter()
        tally.phases["reading"] += begun - read
        tally.windows += 1
        each.append(done - begun)
        if decode is not None:
            spoken.append(done - begun)
        if tally.windows == WARM_UP:
            tally.phases = dict.fromkeys(PHASES, 0.0)
        read = time.perf_counter()
    tally.seconds = cut.reached - WARM_UP * STRIDE
    tally.wall = sum(tally.phases.values())
    return tally, each[WARM_UP:], spoken


def measure(model: Model, video: Any) -> list[dict[str, Any]]:
    """Follow the video with three ways to decide."""
    policies: dict[str, Follower] = {
        "online, 0.35 Hz": TriggeredPolicy().start(rate=0.35, window=WINDOW, stride=STRIDE),
        "uniform, 1 Hz": Steps(rate=1.0, window=WINDOW, stride=STRIDE),
        "every window": Steps(rate=1 / STRIDE, window=WINDOW, stride=STRIDE),
    }
    rows = []
    for name, follower in policies.items():
        tally, each, spoken = live(model, video() if callable(video) else video, follower)
        rows.append(
            {
                "policy": name,
                "windows": tally.windows,
                "decodes": tally.decodes,
                "seconds": tally.seconds,
                "factor": tally.factor,
                "p50_ms": 1000 * float(np.percentile(each, 50)),
                "p95_ms": 1000 * float(np.percentile(each, 95)),
                "text_p50_ms": 1000 * float(np.percentile(spoken, 50)) if spoken else None,
                "shares": tally.shares(),
            }
        )
    return rows


def endure(model: Model, hours: float) -> dict[str, Any]:
    """Run over a synthetic stream of hours: peak memory at each tenth of it."""
    run = jepa_vl.stream(model, synthetic(hours), rate=0.35, window=WINDOW, stride=STRIDE)
    peaks: list[float] = []
    for event in run:
        while len(peaks) < 10 and event.time > (len(peaks) + 1) / 10 * 0.98 * hours * 3600:
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return {
        "hours": hours,
        "windows": run.tally.windows,
        "decodes": run.tally.decodes,
        "wall": run.tally.wall,
        "factor": run.tally.factor,
        "peak_mib": peaks,
    }


def main() -> None:
    """Measure, print tables, and write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="as `jepa-vl stream` takes it")
    parser.add_argument("--decoder", help="as `jepa-vl stream` takes it")
    parser.add_argument("--video", help="what is followed; two minutes of synthetic scenes by default")
    parser.add_argument("--hours", type=float, help="length of the stream that memory is measured on")
    parser.add_argument("--output", type=Path, help="JSON file")
    options = parser.parse_args()
    model = (
        jepa_vl.load(options.model, decoder=options.decoder, device="cpu")
        if options.model
        else Model(StandIn(), name="a stand-in", device="cpu")
    )
    found: dict[str, Any] = {
        "model": options.model or "a stand-in",
        "threads": torch.get_num_threads(),
        "machine": platform.processor() or platform.machine(),
    }
    console = Console(width=100)
    if options.hours:
        found["memory"] = done = endure(model, options.hours)
        peaks = " ".join(f"{peak:.0f}" for peak in done["peak_mib"])
        counts = f"{done['hours']:g} h: {done['windows']:,} windows, {done['decodes']:,} decodes"
        console.print(f"{counts}, {done['wall']:.0f} s; peak MiB at each tenth: {peaks}")
    else:
        found["policies"] = rows = measure(model, options.video or (lambda: synthetic(1 / 30)))
        costs = Table("policy", "decodes", "s a second", "times real time", "p50 ms", "p95 ms", "with a text")
        shares = Table("share of", *PHASES)
        for row in rows:
            text = "–" if row["text_p50_ms"] is None else f"{row['text_p50_ms']:.1f}"
            numbers = [
                f"{row['factor']:.3g}",
                f"{1 / row['factor']:.1f}",
                f"{row['p50_ms']:.1f}",
                f"{row['p95_ms']:.1f}",
                text,
            ]
            costs.add_row(row["policy"], f"{row['decodes']}/{row['windows']}", *numbers)
            shares.add_row(row["policy"], *(f"{row['shares'][phase]:.0%}" for phase in PHASES))
        console.print(found["model"], costs, shares, sep="\n")
    if options.output:
        options.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
