"""Reading what shards that are not written yet are made of: a process takes whole ones, some clips a step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import Dataset

from jepa_vl.data.loader import BatchLoader
from jepa_vl.data.progress import track
from jepa_vl.data.shards.description import Frames
from jepa_vl.data.shards.packing import pack_frames
from jepa_vl.data.shards.planning import Entry
from jepa_vl.data.shards.store import Store
from jepa_vl.data.shards.writing import done_shards
from jepa_vl.data.video import MediaError
from jepa_vl.vision.base import Preprocessing

Read = Tensor | list[bytes] | MediaError  # frames to encode, pictures that are packed, or why there is none
Key = tuple[int, int]  # number of a shard, place in it


@dataclass
class Part:
    """Some clips of one shard, read.

    Attributes:
        shard: Its number.
        last: Whether these are its last ones.
        clips: What is stored, and what was read of it.
    """

    shard: int
    last: bool
    clips: list[tuple[Entry, Read]]


class _Reading(Dataset[tuple[Key, Entry, Read]]):
    def __init__(
        self, shards: Sequence[Sequence[Entry]], preprocessing: Preprocessing, frames: Frames | None
    ) -> None:
        self.shards = shards
        self.preprocessing = preprocessing
        self.frames = frames

    def __getitem__(self, key: Key) -> tuple[Key, Entry, Read]:
        entry = self.shards[key[0]][key[1]]
        try:
            video = entry.clip.read(self.preprocessing, single_frame=entry.single_frame)
        except MediaError as error:
            return key, entry, error
        return key, entry, video if self.frames is None else pack_frames(video, self.frames)

    def collate(self, read: list[tuple[Key, Entry, Read]]) -> Part:
        shard, place = read[-1][0]
        return Part(shard, place + 1 == len(self.shards[shard]), [(entry, found) for _, entry, found in read])


class _Parts:
    """What a process is to do, in order, with progress."""

    def __init__(self, loader: BatchLoader, what: str | None) -> None:
        self.loader = loader
        self.what = what

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        if self.what is None:
            return iter(self.loader)
        return track(self.loader, total=len(self.loader), what=self.what)


class Work(LightningDataModule):
    """The shards that are to be written, dealt out among the processes of a trainer.

    The clips of a step are the same whatever was written before and however many processes there are, so
    that an encoder gives the same tokens.

    Args:
        store: Where shards are written.
        shards: What each is made of.
        preprocessing: How media are read.
        frames: How pictures are packed; None where frames are to be encoded.
        batch_size: Clips of a step.
        num_workers: Reading processes, of each process.
    """

    def __init__(
        self,
        store: Store,
        shards: Sequence[Sequence[Entry]],
        preprocessing: Preprocessing,
        *,
        frames: Frames | None,
        batch_size: int,
        num_workers: int,
    ) -> None:
        super().__init__()
        self.store = store
        self.shards = shards
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.reading = _Reading(shards, preprocessing, frames)

    def left(self) -> list[int]:
        """Return the numbers of the shards that are not written."""
        return sorted(set(range(len(self.shards))) - done_shards(self.store))

    def predict_dataloader(self) -> Any:
        """Return this process's part of the work."""
        trainer = self.trainer
        assert trainer is not None
        left = self.left() if trainer.is_global_zero else []
        own = trainer.strategy.broadcast(left)[trainer.global_rank :: trainer.world_size]
        loader = BatchLoader(
            self.reading,
            batch_sampler=[keys for number in own for keys in self._steps(number)],
            num_workers=self.num_workers,
            collate_fn=self.reading.collate,
            generator=torch.Generator(),
        )
        verb = "Encoding" if self.reading.frames is None else "Packing"
        return _Parts(loader, f"{verb} ({self.batch_size} clips a step)" if trainer.is_global_zero else None)

    def transfer_batch_to_device(self, batch: Part, device: torch.device, dataloader_idx: int) -> Part:
        """Leave it where it is: only frames that are encoded go to the device, stacked."""
        return batch

    def _steps(self, number: int) -> Iterator[list[Key]]:
        places = range(len(self.shards[number]))
        for start in range(0, len(places), self.batch_size):
            yield [(number, place) for place in places[start : start + self.batch_size]]
