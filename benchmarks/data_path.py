"""Samples per second of the ways to read the same clips: videos, prepared sets, and litdata's own loader.

Run    python benchmarks/data_path.py --clips 300
Needs  the plugins offline and babyai, whose training clips are written as H.264 videos first.
How many clips one process reads in a second of processor time: the files are in the page cache, so that
nothing else is waited for. Every way decodes, stacks batches and shuffles; numbers are medians of rounds in
turn, the ratio is of speeds. BabyAI's flat cells suit PNG and H.264; sizes of photographs differ.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import torch
from jepa_vl_babyai.data import BabyAIData
from jepa_vl_offline.efficientnet_lite0 import EfficientNetLite0
from litdata import StreamingDataLoader, StreamingDataset
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

from jepa_vl.cli.run import quiet
from jepa_vl.data.catalogue import Catalogue
from jepa_vl.data.manifest import ManifestData
from jepa_vl.data.records import write_manifest
from jepa_vl.data.shards.data import ShardsData
from jepa_vl.data.shards.description import Features, Frames
from jepa_vl.data.shards.packing import opened, unpack_frames, unpack_tokens
from jepa_vl.data.shards.preparing import MIB, Preparation, prepare
from jepa_vl.data.shards.reading import ShardReader
from jepa_vl.data.shards.store import open_store
from jepa_vl.data.splits import SplitData
from jepa_vl.objectives.base import Collator, Objective
from jepa_vl.sample import Batch, Item, Sample, TextTokens

HELD = 6  # times that each of a clip's frames is shown, at 12 a second
FPS = 12


class Way(NamedTuple):
    """A way to read the clips.

    Attributes:
        name: What is read.
        peer: Name of what it is compared with; empty for none.
        read: Reads every clip once and returns how many there were.
    """

    name: str
    peer: str
    read: Callable[[], int]


class Reading(Objective):
    """Has an encoder, and learns nothing."""

    def __init__(self, encoder: EfficientNetLite0) -> None:
        super().__init__()
        self.vision_encoder = encoder

    def collator(self) -> Collator:
        """Return the function that stacks what was read."""
        return collate


def collate(items: Sequence[Item]) -> Batch:
    """Stack frames or tokens; texts are left out of the measurement."""
    nothing = TextTokens(torch.zeros(len(items), 0, dtype=torch.long), torch.zeros(len(items), 0).bool())
    videos = [item.video for item in items if item.video is not None]
    tokens = [item.tokens for item in items if item.tokens is not None]
    index = torch.tensor([item.index for item in items])
    return Batch(
        samples=[item.sample for item in items],
        index=index,
        group=index,
        query=nothing,
        target=nothing,
        video=torch.stack(videos) if videos else None,
        tokens=torch.stack(tokens) if tokens else None,
    )


def write_videos(folder: Path, clips: int, side: int) -> Path:
    """Write clips of BabyAI as videos, and the manifest of a sample each."""
    source = BabyAIData(train_clips=max(clips, 300), val_clips=40, test_clips=60, novel_clips=20)
    source.make()
    train = source.manifests()[0]
    media = dict.fromkeys(r.path for r in Catalogue([train]).records)
    samples = []
    for i, path in enumerate(itertools.islice(media, clips)):
        frames = [Image.open(f).convert("RGB") for f in sorted(Path(path).glob("*.png"))]
        large = [frame.resize((side, side), Image.Resampling.NEAREST) for frame in frames]
        video(folder / f"{i}.mp4", [np.asarray(frame) for frame in large])
        samples.append(Sample(id=f"{i}", media=f"{i}.mp4", target=f"clip {i}"))
    write_manifest(folder / "manifest.jsonl", samples)
    return folder / "manifest.jsonl"


def video(file: Path, frames: Sequence[np.ndarray[Any, Any]]) -> None:
    """Write frames as H.264, each several times."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "18"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            for _ in range(HELD):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def one_pass(data: SplitData, objective: Objective, *, encode: bool = False) -> Callable[[], int]:
    """Read every batch of a pass, as training does; with ``encode``, through the encoder as well."""
    data.attach(objective)
    data.prepare_data()
    data.setup("fit")
    loader = data.train_dataloader()

    def read() -> int:
        count = 0
        for batch in loader:
            if encode:
                with torch.inference_mode():
                    objective.visual_tokens(batch)
            count += len(batch)
        return count

    return read


def litdata_pass(
    folder: Path, unpack: Callable[[ShardReader, Any], Tensor], batch_size: int
) -> Callable[[], int]:
    """Read the same shards with litdata's loader, shuffled its own way."""
    reader = ShardReader(str(folder))

    def read() -> int:
        dataset = StreamingDataset(str(folder), shuffle=True, drop_last=True, batch_decode=0)
        loader = StreamingDataLoader(dataset, batch_size=batch_size, num_workers=0, collate_fn=list)
        count = 0
        for items in loader:
            count += len(torch.stack([unpack(reader, item) for item in items]))
        return count

    return read


def as_frames(reader: ShardReader, item: Any) -> Tensor:
    """Decode an item of pictures."""
    return unpack_frames(opened(reader.prepared.plan, item, "item"))


def as_tokens(reader: ShardReader, item: Any) -> Tensor:
    """Read an item of tokens."""
    features = reader.prepared.plan.features
    assert features is not None
    return unpack_tokens(opened(reader.prepared.plan, item, "item"), features)


def ways(
    manifest: Path, folder: Path, encoder: EfficientNetLite0, *, shard_mib: float, batch_size: int
) -> list[Way]:
    """Prepare the sets; returns every way to read them."""
    objective = Reading(encoder)
    sets: dict[str, Frames | Features] = {
        "jpeg": Frames(quality=95),
        "png": Frames(codec="png"),
        "tokens": Features(
            encoder="EfficientNetLite0",
            fingerprint=encoder.fingerprint(),
            grid=encoder.grid,
            dim=encoder.dim,
            dtype="bfloat16",
        ),
    }
    for name, kind in sets.items():
        preparation = Preparation(
            catalogue=Catalogue([manifest]),
            preprocessing=encoder.preprocessing,
            kind=kind,
            encoder=encoder if isinstance(kind, Features) else None,
            shard_size=shard_mib * MIB,
        )
        prepare(preparation, open_store(folder / name))
    shared: dict[str, Any] = {"batch_size": batch_size, "val_split": None, "test_splits": []}

    def live(**options: Any) -> ManifestData:
        return ManifestData(manifest=str(manifest), cache_features=False, **shared, **options)

    def shards(name: str, **options: Any) -> ShardsData:
        return ShardsData(shards=str(folder / name), **shared, **options)

    cached = ManifestData(manifest=str(manifest), cache_dtype="bfloat16", **shared)
    videos, litdata = "frames: folder of videos", "frames: litdata's StreamingDataLoader, JPEG"
    encoded, tokens = "tokens: folder of videos, encoded live", "tokens: litdata's StreamingDataLoader"
    return [
        Way(videos, "", one_pass(live(), objective)),
        Way("frames: shards, JPEG 95", videos, one_pass(shards("jpeg"), objective)),
        Way("frames: shards, PNG", videos, one_pass(shards("png"), objective)),
        Way(litdata, videos, litdata_pass(folder / "jpeg", as_frames, batch_size)),
        Way(
            "frames: shards, JPEG 95, 4 shards mixed",
            litdata,
            one_pass(shards("jpeg", shuffle_shards=4), objective),
        ),
        Way(encoded, "", one_pass(live(), objective, encode=True)),
        Way("tokens: feature cache", encoded, one_pass(cached, objective)),
        Way("tokens: shards", encoded, one_pass(shards("tokens"), objective)),
        Way(tokens, encoded, litdata_pass(folder / "tokens", as_tokens, batch_size)),
        Way("tokens: shards, 4 mixed", tokens, one_pass(shards("tokens", shuffle_shards=4), objective)),
    ]


def measure(found: Sequence[Way], rounds: int) -> dict[str, float]:
    """Return samples per CPU second of each way, the median of rounds in turn after one that warms up."""
    rates: dict[str, list[float]] = {way.name: [] for way in found}
    for turn in range(rounds + 1):
        for way in found:
            begun = time.process_time()
            count = way.read()
            if turn:
                rates[way.name].append(count / (time.process_time() - begun))
    return {name: statistics.median(each) for name, each in rates.items()}


def main() -> None:
    """Prepare, measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--side", type=int, default=256, help="of a video, in pixels")
    parser.add_argument("--size", type=int, default=128, help="of what the encoder sees, in pixels")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shard-mib", type=float, default=2.0)
    options = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    encoder = EfficientNetLite0(image_size=options.size, num_frames=options.frames, tubelet=options.frames)
    with tempfile.TemporaryDirectory() as folder:
        manifest = write_videos(Path(folder), options.clips, options.side)
        found = ways(
            manifest,
            Path(folder),
            encoder.eval(),
            shard_mib=options.shard_mib,
            batch_size=options.batch_size,
        )
        rates = measure(found, options.rounds)
        kept = {
            name: sum(f.stat().st_size for f in Path(folder, name).rglob("*.bin"))
            for name in ("jpeg", "png", "tokens")
        }
        kept["videos"] = sum(f.stat().st_size for f in Path(folder).glob("*.mp4"))
    show(found, rates, kept, options)


def size(folder: Path, pattern: str) -> int:
    """Bytes of the files of a folder."""
    return sum(file.stat().st_size for file in folder.glob(pattern))


def show(
    found: Sequence[Way], rates: dict[str, float], kept: dict[str, int], options: argparse.Namespace
) -> None:
    """Print the table."""
    length = 4 * HELD / FPS
    title = (
        f"{options.clips} clips of {length:g} s at {FPS} fps, {options.side} × {options.side} pixels, of "
        f"which {options.frames} frames of {options.size} × {options.size} are read; batches of "
        f"{options.batch_size}, one thread"
    )
    sizes = ", ".join(f"{name} {count / options.clips / 1024:,.1f}" for name, count in kept.items())
    headings = ("what is read", "samples / CPU s", "peer", "ratio")
    rows = [
        (
            way.name,
            f"{rates[way.name]:,.0f}",
            way.peer,
            f"{rates[way.name] / rates[way.peer]:,.2f}" if way.peer else "",
        )
        for way in found
    ]
    table = Table(*headings)
    for row in rows:
        table.add_row(*row)
    Console(width=120).print(title, table, f"KiB a clip: {sizes}", sep="\n")


if __name__ == "__main__":
    main()
