"""Reading any clip of a prepared set, in whatever order: litdata's random access, on copies where needed."""

from __future__ import annotations

import bisect
import itertools
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from litdata import StreamingDataset
from litdata.exceptions import ChunkWaitTimeoutError
from litdata.streaming.sampler import ChunkedIndex
from torch import Tensor

from jepa_vl.cache import cache_dir
from jepa_vl.data.shards.copies import Copies
from jepa_vl.data.shards.description import INDEX, Prepared, read_prepared
from jepa_vl.data.shards.packing import Content, opened, unpack_frames, unpack_tokens
from jepa_vl.data.shards.store import Store, open_store
from jepa_vl.data.shards.tables import Line, read_table
from jepa_vl.data.text_lists import SharedLists
from jepa_vl.errors import UserError
from jepa_vl.whole_file import replacing

RETRIES = 3  # a copy may be removed between two steps, to make room for another process


class ShardReader:
    """The clips and samples of a prepared set. Cheap to pickle: each process opens the files itself.

    A clip's checksum is compared when a process reads it for the first time.

    Args:
        place: Folder or URL.
        options: What the client of an object storage is given besides the environment.
        cache_limit: Bytes that local copies of a remote set may take; None for no limit.

    Raises:
        UserError: There is no finished set, another version made it, or it cannot be reached.
    """

    def __init__(
        self, place: str, *, options: Mapping[str, Any] | None = None, cache_limit: int | None = None
    ) -> None:
        self.store: Store = open_store(place, options)
        self.prepared: Prepared = read_prepared(self.store)
        self.cache_limit = cache_limit
        self._starts = [0, *itertools.accumulate(shard.rows for shard in self.prepared.shards)]
        self._checked = bytearray(self._starts[-1])
        self._data: StreamingDataset | None = None
        self._process = 0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_data": None}

    def __len__(self) -> int:
        return self._starts[-1]

    @property
    def folder(self) -> Path:
        """Where files are read from: the set's own folder, or that of its copies."""
        if self.store.local is not None:
            return self.store.local
        return cache_dir("shards") / self.prepared.version

    def shard_of(self, row: int) -> int:
        """Return the number of the shard that a clip is in."""
        return bisect.bisect_right(self._starts, row) - 1

    def lines(self, split: str) -> list[Line]:
        """Return the samples of a split.

        Raises:
            UserError: The table is missing or damaged.
        """
        lists = SharedLists((self.folder / self.prepared.tables[split].file).parent)
        return read_table(self.folder / self.prepared.tables[split].file, lists)

    def fetch_tables(self) -> None:
        """Copy the index and the samples of a remote set, unless they are there. One process calls it."""
        if self.store.local is not None:
            return
        shards = [INDEX] if self.prepared.shards else []
        for name in [*(table.file for table in self.prepared.tables.values()), *self.prepared.lists, *shards]:
            target = self.folder / name
            if target.exists():
                continue
            with replacing(target) as part:
                self.store.fetch(name, part)

    def video(self, row: int) -> Tensor:
        """Return the frames of a clip, uint8 ``[T, C, H, W]``.

        Raises:
            UserError: The shard is missing or damaged.
        """
        return unpack_frames(self._parts(row))

    def tokens(self, row: int) -> Tensor:
        """Return the tokens of a clip, ``[N, D]`` in the set's number format.

        Raises:
            UserError: The shard is missing or damaged.
        """
        features = self.prepared.plan.features
        assert features is not None
        return unpack_tokens(self._parts(row), features)

    @cached_property
    def _copies(self) -> Copies | None:
        if self.store.local is not None:
            return None
        sizes = {shard.file: shard.size for shard in self.prepared.shards}
        return Copies(self.store, self.folder, sizes, limit=self.cache_limit)

    def _parts(self, row: int) -> list[Content]:
        number = self.shard_of(row)
        shard = self.prepared.shards[number]
        where = f"'{self.store.place}/{shard.file}', clip {row - self._starts[number]}"
        index = ChunkedIndex(index=row, chunk_index=number)
        for left in reversed(range(RETRIES)):
            if self._copies is not None:
                self._copies.get(shard.file)
            try:
                item = self._opened()[index]
                parts = opened(self.prepared.plan, item, where, check=not self._checked[row])
                self._checked[row] = True
                return parts
            except (ChunkWaitTimeoutError, FileNotFoundError) as error:
                if self._copies is None or not left:
                    raise UserError(
                        f"{where}: the file is missing or cut off; prepare the data anew"
                    ) from error
        raise AssertionError("unreachable")

    def _opened(self) -> StreamingDataset:
        """litdata's view of the files, of this process."""
        if self._data is None or self._process != os.getpid():
            # 0: decode the clip that is asked for, and not those around it as well
            self._data = StreamingDataset(str(self.folder), batch_decode=0)
            self._process = os.getpid()
        return self._data
