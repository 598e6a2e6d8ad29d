"""Reading all clips of a sample set once, before training: to encode them, or to find those that are bad."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from jepa_vl.cache import cache_dir
from jepa_vl.data.bad_media import LIMIT, too_many_bad
from jepa_vl.data.clips import Clip
from jepa_vl.data.content import EMPTY, MISSING
from jepa_vl.data.progress import track
from jepa_vl.data.records import SHOWN
from jepa_vl.data.video import MediaError
from jepa_vl.vision.base import Preprocessing
from jepa_vl.whole_file import write_whole

CLIPS_AT_ONCE = 16

Read = tuple[Clip, Tensor | MediaError]  # a clip and its frames [T, C, H, W], or why it has none


class _Clips(Dataset[Read]):
    def __init__(self, clips: Sequence[Clip], preprocessing: Preprocessing, single_frame: bool) -> None:
        self.clips = list(clips)
        self.preprocessing = preprocessing
        self.single_frame = single_frame

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Read:
        clip = self.clips[index]
        try:
            return clip, clip.read(self.preprocessing, single_frame=self.single_frame)
        except MediaError as error:
            return clip, error


def read_clips(
    clips: Sequence[Clip],
    preprocessing: Preprocessing,
    *,
    what: str,
    single_frame: bool = False,
    num_workers: int = 0,
    max_bad: int = 0,
) -> Iterator[list[Read]]:
    """Decode clips in order, a few at a time, with progress shown as ``what``.

    Raises:
        UserError: More than ``max_bad`` of them cannot be read.
    """
    loader = DataLoader(
        _Clips(clips, preprocessing, single_frame),
        batch_size=CLIPS_AT_ONCE,
        num_workers=num_workers,
        collate_fn=list,
        generator=torch.Generator(),  # its own, so that nothing is drawn from the one that dropout uses
    )
    bad: list[str] = []
    for several in track(loader, total=len(loader), what=f"{what} ({CLIPS_AT_ONCE} clips a step)"):
        bad += [str(content) for _, content in several if isinstance(content, MediaError)]
        if len(bad) > max_bad:
            raise too_many_bad(bad, len(bad), max_bad)
        yield several


def refuse_unreadable(
    clips: Sequence[Clip],
    content: Mapping[str, str],
    preprocessing: Preprocessing,
    *,
    limit: int,
    key: str = LIMIT,
) -> None:
    """Refuse, before anything is decoded, a set of which more media than ``limit`` are missing or empty.

    Raises:
        UserError: Names the first of them.
    """
    doomed = [clip for clip in clips if content[clip.path] in (MISSING, EMPTY)]
    count = len(doomed)
    messages: list[str] = []
    for clip in doomed:
        if count <= limit or len(messages) == SHOWN:
            break
        try:
            clip.read(preprocessing)
        except MediaError as error:
            messages.append(str(error))
        else:
            count -= 1  # it has come back
    if count > limit:
        raise too_many_bad(messages, count, limit, key=key)


def check_media(
    key: str,
    clips: Sequence[Clip],
    preprocessing: Preprocessing,
    *,
    what: str,
    num_workers: int = 0,
    max_bad: int = 0,
) -> None:
    """Read clips that are to be evaluated, once, and note under ``key`` which are bad.

    Raises:
        UserError: More than ``max_bad`` are.
    """
    note = _note(key)
    if note.exists():
        return
    found: dict[str, str] = {}
    for several in read_clips(clips, preprocessing, what=what, num_workers=num_workers, max_bad=max_bad):
        found.update(
            {clip.digest: content.reason for clip, content in several if isinstance(content, MediaError)}
        )
    write_whole(note, json.dumps(found))


def bad_media(key: str) -> dict[str, str]:
    """Return what `check_media` noted: why a clip cannot be read, by digest."""
    note = _note(key)
    return json.loads(note.read_text()) if note.exists() else {}


def _note(key: str) -> Path:
    return cache_dir("media-checks") / f"{key}.json"
