"""A manifest → a prepared set: plan, write the shards that are left, finish. Killed, it goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jepa_vl.data.catalogue import Catalogue
from jepa_vl.data.reading import refuse_unreadable
from jepa_vl.data.shards.description import (
    PLAN,
    PREPARED,
    REPORT,
    Features,
    Frames,
    Plan,
    Seen,
    read_plan,
    read_prepared,
)
from jepa_vl.data.shards.extracting import BAD_KEY, extract
from jepa_vl.data.shards.finishing import clean, complaints, finish
from jepa_vl.data.shards.planning import Entry, clips_per_shard, groups_of, shards_of
from jepa_vl.data.shards.store import Store
from jepa_vl.data.shards.work import Work
from jepa_vl.data.shards.writing import Note, done_shards, note_file
from jepa_vl.errors import ManifestError, UserError
from jepa_vl.vision.base import Preprocessing, VisionEncoder

MIB = 2**20


@dataclass
class Preparation:
    """What is to be prepared, and by whom.

    Attributes:
        catalogue: The samples.
        preprocessing: How media are read.
        kind: How pictures are kept, or which tokens.
        encoder: Whose tokens; None for pictures.
        stills: Splits whose single-frame tokens are kept too; a picture's middle frame is there anyway.
        shard_size: Bytes of a shard, about.
        max_bad: How many clips may be unreadable; they are left out.
        batch_size: Clips that are encoded together.
        num_workers: Reading processes, of each process.
        trainer: Lightning's ``accelerator``, ``devices``, ``num_nodes``, ``strategy``.
    """

    catalogue: Catalogue
    preprocessing: Preprocessing
    kind: Frames | Features
    encoder: VisionEncoder | None = None
    stills: Sequence[str] = ()
    shard_size: float = 64 * MIB
    max_bad: int = 0
    batch_size: int = 16
    num_workers: int = 0
    trainer: Mapping[str, Any] = field(default_factory=lambda: {"accelerator": "cpu", "devices": 1})


def prepare(preparation: Preparation, store: Store) -> str | None:
    """Prepare a set, or go on with it; a finished one stays as it is. Every process of a trainer calls it.

    Returns:
        The report; None on all processes but the first.

    Raises:
        UserError: Another set is there, too many clips cannot be read, tokens are not finite, or the store
            cannot be written.
    """
    p = preparation
    groups = groups_of(p.catalogue, stills=p.stills)
    if not groups:
        raise ManifestError(f"{p.catalogue.files}: no sample has media; there is nothing to prepare")
    clips = [entry.clip for group in groups for entry in group if not entry.single_frame]
    refuse_unreadable(clips, p.catalogue.content, p.preprocessing, limit=p.max_bad, key=BAD_KEY)
    plan = _plan(p, groups)
    _check_same(plan, store)
    if store.read(PREPARED) is not None:
        read_prepared(store)
        clean(store)
        return f"it is finished already:\n{(store.read(REPORT) or b'').decode()}"
    store.write(PLAN, plan.model_dump_json(indent=1).encode())
    shards = shards_of(groups, plan.clips_per_shard)
    work = Work(
        store,
        shards,
        p.preprocessing,
        frames=plan.frames,
        batch_size=p.batch_size,
        num_workers=p.num_workers,
    )
    # also where all shards are written: the trainer knows which process is the first
    bad = complaints(shards, _known_bad(store))
    runner = extract(work, plan, p.encoder, max_bad=p.max_bad, bad=bad, trainer=p.trainer)
    runner.strategy.barrier("shards are written")
    if not runner.is_global_zero:
        return None
    return finish(store, plan, p.catalogue, shards, max_bad=p.max_bad)


def _plan(p: Preparation, groups: Sequence[Sequence[Entry]]) -> Plan:
    return Plan(
        source=p.catalogue.data_hash,
        seen=Seen.of(p.preprocessing),
        frames=p.kind if isinstance(p.kind, Frames) else None,
        features=p.kind if isinstance(p.kind, Features) else None,
        stills=list(p.stills),
        clips=sum(map(len, groups)),
        clips_per_shard=clips_per_shard(p.shard_size, groups, p.kind, p.preprocessing),
    )


def _check_same(plan: Plan, store: Store) -> None:
    """Refuse a store that holds, or is to hold, something else.

    Raises:
        UserError: Says what differs.
    """
    there = read_plan(store)
    if there is None:
        if other := next(iter(sorted(store.names())), None):
            raise UserError(
                f"'{store.place}' is not empty (it holds '{other}'); prepared data need a place of their own"
            )
        return
    old, new = _flat(there.model_dump(mode="json")), _flat(plan.model_dump(mode="json"))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if names:
        changed = ", ".join(f"{name} {old.get(name)} → {new.get(name)}" for name in names)
        raise UserError(
            f"'{store.place}' holds what was prepared of other data or in another way ({changed}); "
            "give another --output, or delete it"
        )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found.update(_flat(value, f"{prefix}{name}."))
        else:
            found[prefix + name] = value
    return found


def _known_bad(store: Store) -> dict[str, str]:
    """Why clips of the shards that are written could not be read, by digest."""
    notes = (store.read(note_file(number)) for number in sorted(done_shards(store)))
    return {
        digest: reason
        for data in notes
        if data is not None
        for digest, reason in Note.model_validate_json(data).bad.items()
    }
