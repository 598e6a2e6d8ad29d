"""Render annotated streams once: manifests and videos in a folder that is complete or not there."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path

from jepa_vl.data.records import write_manifest
from jepa_vl.sample import Sample
from jepa_vl_babyai.once import Progress, make_once
from jepa_vl_babyai.settings import GENERATOR_VERSION
from jepa_vl_babyai.stream_records import media, stream_samples
from jepa_vl_babyai.stream_settings import FPS, STREAM_SPLITS, STREAM_VERSION, StreamSettings
from jepa_vl_babyai.stream_video import save_stream
from jepa_vl_babyai.streams import Story
from jepa_vl_babyai.workers import Workers

MARKER = "dataset.json"  # written last: a folder without it is not complete
FRAME_BYTES = 400  # a frame in a video, about


def stream_hash(settings: StreamSettings) -> str:
    """Name of the data: equal settings and generator give equal streams."""
    text = json.dumps([GENERATOR_VERSION, STREAM_VERSION, asdict(settings)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def stream_files(settings: StreamSettings, folder: Path) -> list[Path]:
    """Return the manifests of a data set in ``folder``, one for each split that has streams."""
    return [folder / f"{split}.jsonl" for split in STREAM_SPLITS if settings.streams(split)]


def streams_complete(settings: StreamSettings, folder: Path) -> bool:
    """Whether ``folder`` holds all streams of these settings."""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    same = marker.get("hash") == stream_hash(settings)
    return same and all(file.is_file() for file in stream_files(settings, folder))


def render_streams(
    settings: StreamSettings, folder: Path, *, workers: int = 1, progress: Progress | None = None
) -> None:
    """Render the streams of ``settings`` into ``folder``, unless they are there already.

    Args:
        settings: What to render.
        folder: Gets the manifests ``<split>.jsonl`` and the videos under ``streams/``. What is left of an
            interrupted run is replaced; a run that renders the same is waited for.
        workers: Processes; the data is the same whatever their number.
        progress: Shows how many streams are done.

    Raises:
        UserError: The folder cannot be written, the disk is full, or a worker died; nothing is left behind.
    """
    make_once(
        folder,
        what="BabyAI streams",
        complete=lambda: streams_complete(settings, folder),
        write=lambda part: _render(settings, part, workers),
        total=settings.total,
        size=round(settings.total * settings.longest * FPS * FRAME_BYTES),
        progress=progress,
    )


def _render(settings: StreamSettings, folder: Path, workers: int) -> Iterator[None]:
    """Render everything, yielding once for each stream."""
    about: dict[str, dict[str, float]] = {}
    with Workers(workers) as pool:
        for manifest in stream_files(settings, folder):
            split = manifest.stem
            samples: list[Sample] = []
            seconds, events = 0.0, 0
            for number, story in enumerate(_saved(settings, split, folder, pool)):
                samples += stream_samples(story, settings, split, number)
                seconds += story.seconds
                events += len(story.happenings)
                yield
            write_manifest(manifest, samples)
            about[split] = {"seconds": seconds, "events": events, "samples": len(samples)}
    marker = {
        "hash": stream_hash(settings),
        "generator_version": [GENERATOR_VERSION, STREAM_VERSION],
        "settings": asdict(settings),
        "splits": about,
    }
    (folder / MARKER).write_text(json.dumps(marker, indent=1), encoding="utf-8")


def _saved(settings: StreamSettings, split: str, folder: Path, pool: Workers) -> Iterator[Story]:
    """Yield the streams of a split in order, some of them rendered ahead."""
    ahead: deque[Future[Story]] = deque()
    for number in range(settings.streams(split)):
        ahead.append(pool.submit(save_stream, settings, split, number, folder / media(split, number)))
        if len(ahead) > pool.ahead:
            yield ahead.popleft().result()
    while ahead:
        yield ahead.popleft().result()
