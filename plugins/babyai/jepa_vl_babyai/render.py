"""Render a data set once: manifests and clips in a folder that is either complete or not there."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path

from jepa_vl.data.records import write_manifest
from jepa_vl.errors import UserError
from jepa_vl_babyai.captions import class_name
from jepa_vl_babyai.episodes import episodes_clips, save_clips
from jepa_vl_babyai.events import Clip
from jepa_vl_babyai.once import Progress, make_once
from jepa_vl_babyai.records import Chosen, samples, scenes
from jepa_vl_babyai.settings import GENERATOR_VERSION, HELD_OUT, SPLITS, EventClass, Settings
from jepa_vl_babyai.workers import Workers

MARKER = "dataset.json"  # written last: a folder without it is not complete
CHUNK = 4  # episodes of one task for a worker; fixed, so that the outcome does not depend on the workers
SAVED = 64  # clips of one task
SLACK = 1.15  # a class may have this many times the mean before it is full
FRAME_BYTES = 4096  # a frame on most disks
PATIENCE = 20  # episodes played for a wanted clip before giving up


def settings_hash(settings: Settings) -> str:
    """Name of the data: equal settings and generator give equal data."""
    text = json.dumps([GENERATOR_VERSION, asdict(settings)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def manifest_files(settings: Settings, folder: Path) -> list[Path]:
    """Return the manifests of a data set in ``folder``, one for each split that has clips."""
    return [folder / f"{split}.jsonl" for split in SPLITS if settings.clips(split)]


def scene_files(settings: Settings, folder: Path) -> list[Path]:
    """Return the manifests of the descriptions, one beside each of `manifest_files`."""
    return [file.with_name(f"{file.stem}-scenes.jsonl") for file in manifest_files(settings, folder)]


def is_complete(settings: Settings, folder: Path) -> bool:
    """Whether ``folder`` holds the whole data set of these settings."""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    same = marker.get("hash") == settings_hash(settings)
    files = [*manifest_files(settings, folder), *scene_files(settings, folder)]
    return same and all(file.is_file() for file in files)


def render_dataset(
    settings: Settings, folder: Path, *, workers: int = 1, progress: Progress | None = None
) -> None:
    """Render the data set of ``settings`` into ``folder``, unless it is there already.

    Args:
        settings: What to render.
        folder: Gets the manifests ``<split>.jsonl`` and ``<split>-scenes.jsonl`` for each split, and the
            frames under ``clips/``. What is
            left of an interrupted run is replaced; a run that renders the same is waited for.
        workers: Processes; the data is the same whatever their number.
        progress: Shows how many clips are done.

    Raises:
        UserError: The folder cannot be written, the disk is full, or a worker died; nothing is left behind.
    """
    clips = sum(map(settings.clips, SPLITS))
    make_once(
        folder,
        what="BabyAI clips",
        complete=lambda: is_complete(settings, folder),
        write=lambda part: _render(settings, part, workers),
        total=clips,
        size=clips * settings.num_frames * FRAME_BYTES,
        progress=progress,
    )


def _render(settings: Settings, folder: Path, workers: int) -> Iterator[None]:
    """Render everything, yielding once for each clip."""
    classes: dict[str, dict[str, int]] = {}
    with Workers(workers) as pool:
        files = zip(manifest_files(settings, folder), scene_files(settings, folder), strict=True)
        for manifest, descriptions in files:
            split = manifest.stem
            chosen: list[Chosen] = []
            for clip in _saved(_choose(settings, split, pool), settings, folder, pool):
                chosen.append(clip)
                yield
            write_manifest(manifest, samples(chosen, settings))
            write_manifest(descriptions, scenes(chosen))
            classes[split] = dict(sorted(Counter(class_name(c.clip) for c in chosen).items()))
        pool.drain(0)
    about = {
        "hash": settings_hash(settings),
        "generator_version": GENERATOR_VERSION,
        "settings": asdict(settings),
        "classes": classes,
    }
    (folder / MARKER).write_text(json.dumps(about, indent=1), encoding="utf-8")


def _choose(settings: Settings, split: str, pool: Workers) -> Iterator[Chosen]:
    """Yield the clips of a split in the order of its episodes, none of a class that is full."""
    wanted, classes = settings.clips(split), settings.classes(split)
    most = math.ceil(SLACK * wanted / len(classes))
    have: Counter[EventClass] = Counter()
    for episode, clips in enumerate(_played(settings, split, pool)):
        for clip in clips:
            if not _belongs(clip, split) or have[clip.event.event_class] >= most:
                continue
            yield Chosen(split, have.total(), episode, clip)
            have[clip.event.event_class] += 1
            if have.total() == wanted:
                return
        if episode > PATIENCE * (wanted + len(classes)):
            raise UserError(
                f"split {split}: only {have.total()} of {wanted} clips found in {episode} episodes"
            )


def _belongs(clip: Clip, split: str) -> bool:
    """Whether what happens is held out exactly where it should be; words about it count as well."""
    event = clip.event
    aside = event.beside is not None and (event.verb, *event.beside) in HELD_OUT
    return (
        event.event_class in HELD_OUT if split == "novel" else event.event_class not in HELD_OUT and not aside
    )


def _played(settings: Settings, split: str, pool: Workers) -> Iterator[list[Clip]]:
    """Yield the clips of episode 0, 1, 2, … without end, some of them played ahead."""
    ahead: deque[Future[list[list[Clip]]]] = deque()
    for start in itertools.count(0, CHUNK):
        ahead.append(pool.submit(episodes_clips, settings, split, range(start, start + CHUNK)))
        if len(ahead) > pool.ahead:
            yield from ahead.popleft().result()


def _saved(chosen: Iterator[Chosen], settings: Settings, folder: Path, pool: Workers) -> Iterator[Chosen]:
    """Pass clips through, and have them drawn and saved."""
    while some := list(itertools.islice(chosen, SAVED)):
        pool.keep(pool.submit(save_clips, settings, [(folder / c.media, c.clip) for c in some]))
        pool.drain(pool.ahead)
        yield from some
