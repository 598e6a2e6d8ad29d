"""Render a data set once: manifests and clips in a folder that is either complete or not there."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import math
import multiprocessing
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import ParamSpec, TypeVar

from jepa_vl.errors import UserError
from jepa_vl_babyai.captions import class_name
from jepa_vl_babyai.episodes import episodes_clips, save_clips
from jepa_vl_babyai.events import Clip
from jepa_vl_babyai.records import Chosen, samples
from jepa_vl_babyai.settings import GENERATOR_VERSION, HELD_OUT, SPLITS, EventClass, Settings

P = ParamSpec("P")
T = TypeVar("T")

MARKER = "dataset.json"  # written last: a folder without it is not complete
CHUNK = 8  # episodes of one task for a worker; fixed, so that the outcome does not depend on the workers
SAVED = 64  # clips of one task
SLACK = 1.2  # a class may have this many times the mean before it is full
PATIENCE = 20  # episodes played for a wanted clip before giving up

Progress = Callable[[int], None]


def settings_hash(settings: Settings) -> str:
    """Name of the data: equal settings and generator give equal data."""
    text = json.dumps([GENERATOR_VERSION, asdict(settings)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def is_complete(folder: Path, settings: Settings) -> bool:
    """Whether ``folder`` holds the whole data set of these settings."""
    try:
        marker = json.loads((folder / MARKER).read_text())
    except (OSError, ValueError):
        return False
    return bool(marker.get("hash") == settings_hash(settings)) and all(
        (folder / f"{split}.jsonl").is_file() for split in SPLITS if settings.clips(split)
    )


def render_dataset(
    settings: Settings, folder: Path, *, workers: int = 1, progress: Progress | None = None
) -> Path:
    """Render the data set of ``settings`` into ``folder``, unless it is there already.

    Args:
        settings: What to render.
        folder: Gets a manifest ``<split>.jsonl`` for each split and the frames under ``clips/``. An incomplete one
            is replaced.
        workers: Processes; the data is the same whatever their number.
        progress: Called with the number of clips each time some are done.

    Returns:
        ``folder``.

    Raises:
        UserError: The folder cannot be written, or the disk is full; nothing is left behind.
    """
    if is_complete(folder, settings):
        return folder
    part = folder.with_name(folder.name + ".part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        _render(settings, part, workers, progress or (lambda _: None))
        if folder.exists():
            shutil.rmtree(folder)
        part.rename(folder)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            need = sum(map(settings.clips, SPLITS)) * settings.num_frames * 4096 / 1e6
            raise UserError(
                f"no space left on the disk of {folder} while rendering BabyAI clips; "
                f"they need about {need:.0f} MB (set JEPA_VL_CACHE to a folder on another disk)"
            ) from error
        raise UserError(f"cannot write BabyAI clips to {folder}: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _render(settings: Settings, folder: Path, workers: int, progress: Progress) -> None:
    classes: dict[str, dict[str, int]] = {}
    with _Workers(workers) as pool:
        for split in SPLITS:
            if not settings.clips(split):
                continue
            chosen = list(_saved(_choose(settings, split, pool), settings, folder, pool, progress))
            lines = (sample.model_dump_json(exclude_unset=True) for sample in samples(chosen, settings))
            (folder / f"{split}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            counted = Counter(class_name(c.clip) for c in chosen)
            classes[split] = dict(sorted(counted.items()))
        pool.drain(0)
    about = {
        "hash": settings_hash(settings),
        "generator_version": GENERATOR_VERSION,
        "settings": asdict(settings),
        "classes": classes,
    }
    (folder / MARKER).write_text(json.dumps(about, indent=1), encoding="utf-8")


def _choose(settings: Settings, split: str, pool: _Workers) -> Iterator[Chosen]:
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


def _played(settings: Settings, split: str, pool: _Workers) -> Iterator[list[Clip]]:
    """Yield the clips of episode 0, 1, 2, … without end, some of them played ahead."""
    ahead: deque[Future[list[list[Clip]]]] = deque()
    for start in itertools.count(0, CHUNK):
        ahead.append(pool.submit(episodes_clips, settings, split, range(start, start + CHUNK)))
        if len(ahead) > 2 * pool.workers:
            yield from ahead.popleft().result()


def _saved(
    chosen: Iterator[Chosen], settings: Settings, folder: Path, pool: _Workers, progress: Progress
) -> Iterator[Chosen]:
    """Pass clips through, and have them drawn and saved."""
    while some := list(itertools.islice(chosen, SAVED)):
        pool.keep(pool.submit(save_clips, settings, [(folder / c.media, c.clip) for c in some]))
        pool.drain(4 * pool.workers)
        progress(len(some))
        yield from some


class _Workers:
    """Processes that do tasks, or this process when there is one only."""

    def __init__(self, workers: int) -> None:
        self.workers = max(workers, 1)
        # spawned, for the caller may have threads; they import neither torch nor lightning
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(self.workers, mp_context=context) if self.workers > 1 else None
        self._kept: deque[Future[int]] = deque()

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def submit(self, task: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start a task."""
        if self._pool is not None:
            return self._pool.submit(task, *args, **kwargs)
        done: Future[T] = Future()
        done.set_result(task(*args, **kwargs))
        return done

    def keep(self, task: Future[int]) -> None:
        """Remember a task whose failure matters, until `drain` looks at it."""
        self._kept.append(task)

    def drain(self, left: int) -> None:
        """Wait until at most ``left`` kept tasks are under way; raise what any of the others raised."""
        while len(self._kept) > left:
            self._kept.popleft().result()
