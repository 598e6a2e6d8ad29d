"""One shard: litdata's file with its items, and a note of what is in it, which is written last."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from litdata.streaming.writer import BinaryWriter
from pydantic import BaseModel

from jepa_vl.data.shards.description import Plan
from jepa_vl.data.shards.packing import stamped
from jepa_vl.data.shards.store import Store

_NOTE = re.compile(r"notes/(\d+)\.json")


class Spread(BaseModel):
    """Numbers seen so far.

    Attributes:
        count: How many.
        total: Their sum.
        least: The smallest, if there is one.
        most: The largest, if there is one.
    """

    count: int = 0
    total: float = 0.0
    least: float = 0.0
    most: float = 0.0

    def add(self, values: Sequence[float]) -> None:
        """See more."""
        if not values:
            return
        known = [self.least, self.most] if self.count else []
        self.least, self.most = min([*known, *values]), max([*known, *values])
        self.count += len(values)
        self.total += sum(values)


class Note(BaseModel):
    """What became of the clips of a shard.

    Attributes:
        chunk: What litdata's index says of the file; None where no clip could be read, and there is none.
        config: What it says of every file.
        rows: Digest of each clip in the file, and whether it is a single frame.
        bad: Why others could not be read, by digest.
        sizes: Bytes of the clips.
        norms: Of the tokens, where there are some.
    """

    chunk: dict[str, Any] | None
    config: dict[str, Any]
    rows: list[tuple[str, bool]]
    bad: dict[str, str]
    sizes: Spread
    norms: Spread


def shard_file(number: int) -> str:
    """Return the name of a shard; litdata looks for names like this."""
    return f"chunk-0-{number}.bin"


def note_file(number: int) -> str:
    """Return the name of a shard's note."""
    return f"notes/{number}.json"


def done_shards(store: Store) -> set[int]:
    """Return the numbers of the shards that are written."""
    found = (_NOTE.fullmatch(name) for name in store.names())
    return {int(match[1]) for match in found if match}


def write_shard(
    store: Store,
    plan: Plan,
    number: int,
    items: Mapping[tuple[str, bool], Sequence[bytes]],
    *,
    bad: Mapping[str, str],
    norms: Spread,
) -> None:
    """Write a shard, then its note: a shard without a note is not there.

    Args:
        store: Where to.
        plan: What the set is.
        number: Of the shard.
        items: The parts of each clip, by digest and whether it is a single frame.
        bad: Why other clips of the shard could not be read, by digest.
        norms: Of the tokens.

    Raises:
        UserError: There is no room, or the store cannot be reached or written.
    """
    sizes = Spread()
    sizes.add([float(sum(map(len, parts))) for parts in items.values()])
    note = Note(chunk=None, config={}, rows=list(items), bad=dict(bad), sizes=sizes, norms=norms)
    with store.scratch() as folder:
        if items:
            writer = BinaryWriter(str(folder), chunk_size=len(items))
            for row, parts in enumerate(items.values()):
                writer.add_item(row, stamped(plan, parts))
            writer.done()
            (index,) = folder.glob("*.index.json")
            content = json.loads(index.read_text())
            (chunk,) = content["chunks"]
            note.chunk = {**chunk, "filename": shard_file(number)}
            # how many were asked for stands there too, and would differ in the last shard of a group
            note.config = {**content["config"], "chunk_size": plan.clips_per_shard}
            store.put(folder / os.fspath(chunk["filename"]), shard_file(number))
    store.write(note_file(number), note.model_dump_json().encode())
