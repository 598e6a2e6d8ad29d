"""Which clips go into which shard, the same whoever prepares them and however often it is interrupted."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jepa_vl.data.catalogue import Catalogue
from jepa_vl.data.clips import Clip
from jepa_vl.data.shards.description import Features, Frames
from jepa_vl.data.shards.packing import pack_frames
from jepa_vl.data.splits import TRAIN
from jepa_vl.data.video import MediaError
from jepa_vl.errors import UserError
from jepa_vl.vision.base import Preprocessing

LARGEST = 2**32 - 1  # litdata counts the bytes of a shard with 32 bits
_TRIED = 64  # clips looked at for the size of a picture
_MEASURED = 8  # of which so many are measured


@dataclass(frozen=True)
class Entry:
    """What is stored once: a clip, or its middle frame only.

    Attributes:
        clip: What part of which file.
        single_frame: Whether motion is taken away.
    """

    clip: Clip
    single_frame: bool = False

    @property
    def key(self) -> tuple[str, bool]:
        """Equal for equal content."""
        return self.clip.digest, self.single_frame


def groups_of(catalogue: Catalogue, *, stills: Sequence[str] = ()) -> list[list[Entry]]:
    """Return the distinct clips in groups that share no shard: each split's, then its single frames.

    A clip that several splits show is stored with the first of them. Those of the training split come in
    random order, so that each shard is like all of them; others in the order they are evaluated in.
    """
    known: set[tuple[str, bool]] = set()
    groups = []
    for split in catalogue.splits:
        if not catalogue.is_seen(split):
            continue
        for single in (False, True) if split in stills else (False,):
            group = []
            for clip in catalogue.clips(split):
                entry = Entry(clip, single)
                if entry.key not in known:
                    known.add(entry.key)
                    group.append(entry)
            if split == TRAIN:
                random.Random(0).shuffle(group)
            if group:
                groups.append(group)
    return groups


def shards_of(groups: Sequence[Sequence[Entry]], clips_per_shard: int) -> list[list[Entry]]:
    """Cut groups into shards of equally many clips; only the last one of a group has fewer."""
    return [
        list(group[start : start + clips_per_shard])
        for group in groups
        for start in range(0, len(group), clips_per_shard)
    ]


def clips_per_shard(
    size: float, groups: Sequence[Sequence[Entry]], kind: Frames | Features, preprocessing: Preprocessing
) -> int:
    """Return how many clips make a shard of about ``size`` bytes; that of pictures is measured.

    Raises:
        UserError: A shard would be larger than its format allows.
    """
    if size > LARGEST / 2:
        raise UserError(f"a shard of {size / 2**20:,.0f} MiB is too large; expected at most 2,000 MiB")
    if isinstance(kind, Features):
        time, height, width = kind.grid
        each = time * height * width * kind.dim * (4 if kind.dtype == "float32" else 2)
    else:
        sizes = list(_picture_bytes(groups, kind, preprocessing))
        each = sum(sizes) // len(sizes) if sizes else 1
    return max(1, int(size / max(each, 1)))


def _picture_bytes(
    groups: Sequence[Sequence[Entry]], frames: Frames, preprocessing: Preprocessing
) -> Iterator[int]:
    """Bytes of some of the first clips that can be read."""
    entries = [entry for group in groups for entry in group[:_TRIED]][:_TRIED]
    found = 0
    for entry in entries:
        try:
            video = entry.clip.read(preprocessing)
        except MediaError:
            continue
        yield sum(map(len, pack_frames(video, frames)))
        found += 1
        if found == _MEASURED:
            return
