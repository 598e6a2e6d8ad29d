"""The catalogue: what all manifests of a data module say together, and what their media hold."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from jepa_vl.data.clips import Clip
from jepa_vl.data.content import content_hashes
from jepa_vl.data.records import Record, read_records
from jepa_vl.errors import ManifestError


class Catalogue:
    """Records of one or several manifests.

    Args:
        manifests: JSONL files.
        root: Folder that relative media paths start from; each manifest's own by default.

    Raises:
        ManifestError: A manifest is broken, an id occurs twice, or an episode lies in two splits.
    """

    def __init__(self, manifests: Sequence[Path], *, root: str | Path | None = None) -> None:
        self.manifests = list(manifests)
        self.root = root
        self.records = [record for path in manifests for record in read_records(path, root=root)]
        check_unique(self.records)
        check_episodes(self.records)
        self.splits: dict[str, list[Record]] = {}
        self._clips: dict[str, list[Clip]] = {}
        for record in self.records:
            self.splits.setdefault(record.sample.split, []).append(record)

    @property
    def files(self) -> str:
        """The manifests' names, for messages."""
        return ", ".join(str(path) for path in self.manifests)

    @property
    def labels(self) -> list[str]:
        """Every class name, sorted."""
        return sorted({record.sample.label for record in self.records if record.sample.label is not None})

    @cached_property
    def content(self) -> dict[str, str]:
        """Hash of each media's content, by its path; that of a text without media is empty."""
        return {"": ""} | content_hashes(record.path for record in self.records if record.path)

    @cached_property
    def data_hash(self) -> str:
        """Hash of the samples, in order, and of the content of their media."""
        digest = hashlib.sha256()
        for record in self.records:
            said = record.sample.model_dump_json(exclude_defaults=True)  # a new field changes no old hash
            digest.update(f"{said} {self.content[record.path]}\n".encode())
        return digest.hexdigest()

    def has_media(self, split: str) -> bool:
        """Whether a split has something to see; texts have not."""
        return any(record.path for record in self.splits.get(split, ()))

    def is_seen(self, split: str) -> bool:
        """Whether a split is of media; of texts alone otherwise.

        Raises:
            ManifestError: Some of its samples have media and some have none.
        """
        records = self.splits.get(split, [])
        seen = [record for record in records if record.path]
        if seen and len(seen) < len(records):
            text = next(record for record in records if not record.path)
            raise ManifestError(
                f"{text.where}: field 'media' is empty, and {seen[0].where} of the same split "
                f"'{split}' has media; put texts in a split of their own"
            )
        return bool(seen)

    def clips(self, split: str) -> list[Clip]:
        """Return the clip of each record of a split, made once for all who ask."""
        if split not in self._clips:
            records = self.splits.get(split, [])
            self._clips[split] = [Clip.of(record, self.content[record.path]) for record in records]
        return self._clips[split]


def check_unique(records: Sequence[Record]) -> None:
    """Refuse an id that stands twice.

    Raises:
        ManifestError: Names both places.
    """
    where: dict[str, str] = {}
    for record in records:
        if record.sample.id in where:
            raise ManifestError(
                f"{record.where}: field 'id': '{record.sample.id}' stands in "
                f"{where[record.sample.id]} already, ids must be unique over all manifests"
            )
        where[record.sample.id] = record.where


def check_episodes(records: Sequence[Record]) -> None:
    """Refuse an episode in two splits: what happened in it would give the answer away.

    Raises:
        ManifestError: Names both places.
    """
    first: dict[str, Record] = {}
    for record in records:
        episode = record.sample.episode
        if episode is None:
            continue
        other = first.setdefault(episode, record)
        if other.sample.split != record.sample.split:
            raise ManifestError(
                f"{record.where}: episode '{episode}' is in split '{record.sample.split}' here and in "
                f"'{other.sample.split}' in {other.where}; an episode must lie in one split"
            )
