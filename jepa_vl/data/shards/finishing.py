"""The end of a preparation: one index of all shards, the tables of samples, a report, and what the set is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from jepa_vl.data.bad_media import too_many_bad
from jepa_vl.data.catalogue import Catalogue
from jepa_vl.data.shards.description import INDEX, PREPARED, REPORT, Amounts, Plan, Prepared, Shard, Table
from jepa_vl.data.shards.extracting import BAD_KEY
from jepa_vl.data.shards.planning import Entry
from jepa_vl.data.shards.report import SHOWN, report
from jepa_vl.data.shards.store import Store
from jepa_vl.data.shards.tables import Line, shared_lists, table_file, write_lists, write_table
from jepa_vl.data.shards.writing import Note, Spread, note_file
from jepa_vl.errors import UserError


def finish(
    store: Store, plan: Plan, catalogue: Catalogue, shards: Sequence[Sequence[Entry]], *, max_bad: int
) -> str:
    """Make a set of shards that are all written; returns a report. What says that it is finished comes last.

    Args:
        store: Where the shards are.
        plan: What the set is.
        catalogue: The samples.
        shards: What each shard is made of.
        max_bad: How many clips may be unreadable.

    Raises:
        UserError: Shards are missing, too many clips cannot be read, or the store cannot be written.
    """
    notes = read_notes(store, len(shards))
    reasons = {digest: reason for note in notes for digest, reason in note.bad.items()}
    messages = complaints(shards, reasons)
    if len(messages) > max_bad:
        raise too_many_bad(list(messages.values()), len(messages), max_bad, key=BAD_KEY)
    row_of = {tuple(key): row for row, key in enumerate(key for note in notes for key in note.rows)}
    files = [note for note in notes if note.chunk is not None]
    if files:
        index = {
            "chunks": [note.chunk for note in files],
            "config": files[0].config,
            "updated_at": plan.identity.hex(),  # litdata's copies are of this set
        }
        store.write(INDEX, json.dumps(index, sort_keys=True).encode())
    tables, lists, dropped = _tables(store, plan, catalogue, row_of)
    prepared = Prepared(
        plan=plan,
        shards=[
            Shard(file=note.chunk["filename"], rows=note.chunk["chunk_size"], size=note.chunk["chunk_bytes"])
            for note in files
            if note.chunk is not None
        ],
        tables=tables,
        lists=lists,
        labels=catalogue.labels,
        skipped=len(messages),
        skipped_samples=dropped,
        clip_bytes=_amounts([note.sizes for note in notes]),
        norms=_amounts([note.norms for note in notes]),
    )
    store.write(REPORT, report(prepared, list(messages.values())).encode())
    store.write(PREPARED, prepared.model_dump_json(indent=1).encode())
    clean(store)
    return report(prepared, list(messages.values()), most=SHOWN)


def clean(store: Store) -> None:
    """Remove what only an unfinished set needs."""
    for name in store.names():
        if name.startswith("notes/"):
            store.remove(name)
    store.sweep()


def read_notes(store: Store, count: int) -> list[Note]:
    """Read the notes of all shards.

    Raises:
        UserError: Some are missing.
    """
    found = [store.read(note_file(number)) for number in range(count)]
    missing = sum(data is None for data in found)
    if missing:
        raise UserError(
            f"{missing} of {count} shards of '{store.place}' were not written; "
            "run the same `jepa-vl prepare` again to go on"
        )
    return [Note.model_validate_json(data) for data in found if data is not None]


def complaints(shards: Sequence[Sequence[Entry]], reasons: Mapping[str, str]) -> dict[str, str]:
    """Return a message for each clip that cannot be read, by its digest."""
    entries = (entry for shard in shards for entry in shard)
    return {
        e.clip.digest: e.clip.complaint(reasons[e.clip.digest]) for e in entries if e.clip.digest in reasons
    }


def _tables(
    store: Store, plan: Plan, catalogue: Catalogue, row_of: Mapping[tuple[object, ...], int]
) -> tuple[dict[str, Table], list[str], int]:
    """Write the samples that can be seen; returns the tables, their lists, and how many were left out."""
    lists = shared_lists(record.sample for record in catalogue.records)
    tables: dict[str, Table] = {}
    dropped = 0
    for split, records in catalogue.splits.items():
        seen = catalogue.is_seen(split)
        lines = []
        for record, clip in zip(records, catalogue.clips(split), strict=True):
            row, still = row_of.get((clip.digest, False)), row_of.get((clip.digest, True))
            if seen and (row is None or (split in plan.stills and still is None)):
                dropped += 1
                continue
            lines.append(Line(row=row, still=still if split in plan.stills else None, sample=record.sample))
        write_table(store, split, lines, lists)
        clips = len({line.row for line in lines} - {None})
        tables[split] = Table(file=table_file(split), samples=len(lines), clips=clips, has_media=seen)
    return tables, write_lists(store, lists), dropped


def _amounts(spreads: Sequence[Spread]) -> Amounts | None:
    counted = [spread for spread in spreads if spread.count]
    if not counted:
        return None
    count = sum(spread.count for spread in counted)
    return Amounts(
        least=min(spread.least for spread in counted),
        mean=sum(spread.total for spread in counted) / count,
        most=max(spread.most for spread in counted),
    )
