"""The data module ``shards``: what `jepa-vl prepare` made, from a folder or streamed from object storage."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any

from jepa_vl.data.base import SampleSet
from jepa_vl.data.near import NearShuffle
from jepa_vl.data.shards.reading import ShardReader
from jepa_vl.data.shards.sets import ShardSet, check_encoder, check_together, make_set
from jepa_vl.data.splits import SplitData
from jepa_vl.errors import RecipeError, UserError
from jepa_vl.objectives.base import Objective

GIB = 2**30


class ShardsData(SplitData):
    """Samples of prepared sets: those of the manifest they were made of, in the same order.

    With ``shuffle_shards`` the order of the training samples mixes a few shards at a time, so that a set that
    is larger than the disk can be streamed; without, it is the very order of `ManifestData`.

    Args:
        shards: Folder or ``s3://`` URL that `jepa-vl prepare` wrote, or several; a split has the samples of
            all, and ``mixture`` may weigh them by their source.
        shuffle_shards: How many shards are mixed at a time; all samples alike by default.
        cache_limit_gib: GiB that local copies of each remote set may take; no limit by default.
        storage_options: What boto3's client is given besides the environment, such as ``endpoint_url``.
        **kwargs: Those of `SplitData`: batches, splits, mixture, limits, workers and seed.
    """

    def __init__(
        self,
        *,
        shards: str | list[str],
        shuffle_shards: int | None = None,
        cache_limit_gib: float | None = None,
        storage_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if shuffle_shards is not None and shuffle_shards < 1:
            raise RecipeError(f"data.shuffle_shards must be at least 1, found {shuffle_shards}")
        if cache_limit_gib is not None and cache_limit_gib <= 0:
            raise RecipeError(f"data.cache_limit_gib must be positive, found {cache_limit_gib:g}")
        self.shards = [shards] if isinstance(shards, str) else list(shards)
        if not self.shards:
            raise RecipeError("data.shards is empty; expected a folder or URL that `jepa-vl prepare` wrote")
        self.shuffle_shards = shuffle_shards
        self.cache_limit_gib = cache_limit_gib
        self.storage_options = storage_options
        self._sets: dict[str, ShardSet] = {}

    @cached_property
    def readers(self) -> list[ShardReader]:
        """The prepared sets.

        Raises:
            UserError: One is not there, is not finished, or cannot be reached.
        """
        limit = None if self.cache_limit_gib is None else int(self.cache_limit_gib * GIB)
        return [ShardReader(place, options=self.storage_options, cache_limit=limit) for place in self.shards]

    # --- the contract of SampleData

    def attach(self, objective: Objective) -> None:
        """Take the objective's collator and encoder, before anything else.

        Raises:
            RecipeError: What is stored is not what the encoder reads, or gives.
            UserError: A set is not there, is not finished, or cannot be reached.
        """
        self._objective = objective
        encoder = objective.vision_encoder
        stored = any(reader.prepared.plan.features is not None for reader in self.readers)
        fingerprint = encoder.fingerprint() if encoder is not None and encoder.frozen and stored else None
        for reader in self.readers:
            check_encoder(reader, encoder, fingerprint)
        self._sets = {}

    def prepare_data(self) -> None:
        """Copy what tells where the samples of remote sets are, on one process of each machine.

        Raises:
            ManifestError: Two sets share a sample, or an episode in different splits.
            UserError: A set cannot be reached, or the disk is full.
        """
        self._attached()
        for reader in self.readers:
            reader.fetch_tables()
        check_together(self.readers)

    def setup(self, stage: str | None = None) -> None:
        """Read the samples that a stage needs.

        Raises:
            RecipeError: A split of the recipe is not in the data.
            UserError: A table is damaged.
        """
        self._attached()
        self._check_splits()
        self._stage = stage
        self._sets = {}
        for name in self._needed(stage):
            self.sample_set(name)

    @property
    def data_hash(self) -> str:
        """Hash of what was prepared: that of its manifest, unless pictures lost something."""
        hashes = [reader.prepared.plan.data_hash for reader in self.readers]
        return hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()

    @property
    def labels(self) -> list[str]:
        """Every class name of the sets, over all splits, sorted."""
        return sorted({label for reader in self.readers for label in reader.prepared.labels})

    @property
    def files(self) -> str:
        """The sets' places, for messages."""
        return ", ".join(f"'{reader.store.place}'" for reader in self.readers)

    @property
    def split_names(self) -> list[str]:
        """Every split that has samples."""
        return list(dict.fromkeys(split for reader in self.readers for split in reader.prepared.tables))

    def has_media(self, split: str) -> bool:
        """Whether a split has something to see; texts have not."""
        tables = (reader.prepared.tables.get(split) for reader in self.readers)
        return any(table is not None and table.has_media for table in tables)

    def sample_set(self, name: str) -> ShardSet:
        """Return a split by name, after `setup`; the name may end in ``/single-frame``."""
        if name not in self._sets:
            seen = self._attached().vision_encoder is not None
            self._sets[name] = make_set(name, self.readers, seen=seen, limit=self._limit(name))
        return self._sets[name]

    def near(self, samples: SampleSet) -> NearShuffle | None:
        """Return how training samples are shuffled: among those of a few shards, if the recipe says so.

        Raises:
            UserError: Local copies of the shards that are mixed do not fit in the limit.
        """
        assert isinstance(samples, ShardSet)
        self._check_room()
        if self.shuffle_shards is None:
            return None
        return NearShuffle(samples.shard_numbers(), self.shuffle_shards)

    def _check_room(self) -> None:
        if self.cache_limit_gib is None:
            return
        for reader in self.readers:
            sizes = [shard.size for shard in reader.prepared.shards]
            if reader.store.local is not None or sum(sizes) <= self.cache_limit_gib * GIB:
                continue
            if self.shuffle_shards is None:
                raise UserError(
                    f"'{reader.store.place}' takes {sum(sizes) / GIB:.4g} GiB, data.cache_limit_gib allows "
                    f"{self.cache_limit_gib:g}: for every sample a whole shard would be fetched. "
                    "Set 'shuffle_shards' (to 16, say), so that a few shards are used at a time"
                )
            needed = (self.shuffle_shards + 1) * max(sizes)
            if needed > self.cache_limit_gib * GIB:
                raise UserError(
                    f"data.shuffle_shards {self.shuffle_shards} of '{reader.store.place}' keeps "
                    f"{needed / GIB:.4g} GiB in use at a time, data.cache_limit_gib allows "
                    f"{self.cache_limit_gib:g}; raise the limit or mix fewer"
                )
