"""Data from JSONL manifests: videos, images and frame folders, with a frozen encoder's tokens cached."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal

from jepa_vl.data.bad_media import too_many_bad
from jepa_vl.data.catalogue import Catalogue
from jepa_vl.data.clips import ManifestSet
from jepa_vl.data.sets import SetMaker
from jepa_vl.data.splits import SplitData
from jepa_vl.errors import RecipeError
from jepa_vl.objectives.base import Objective


class ManifestData(SplitData):
    """Samples of one or several JSONL manifests, by split.

    A subclass that makes its data first overrides `make` and `manifests`.

    Args:
        manifest: JSONL file or files; a sample's split stands in its line.
        root: Folder that relative media paths start from; the manifest's own by default.
        cache_features: Whether a frozen vision encoder's tokens are computed once and kept on disk.
        cache_dtype: Number format of those tokens.
        max_bad_media: How many clips may be unreadable; they are left out and listed.
        **kwargs: Those of `SplitData`: batches, splits, mixture, limits, workers and seed.
    """

    def __init__(
        self,
        *,
        manifest: str | list[str],
        root: str | None = None,
        cache_features: bool = True,
        cache_dtype: Literal["float32", "float16", "bfloat16"] = "float32",
        max_bad_media: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if max_bad_media < 0:
            raise RecipeError(f"data.max_bad_media must not be negative, found {max_bad_media}")
        self.manifest = [manifest] if isinstance(manifest, str) else list(manifest)
        self.root = root
        self.cache_features = cache_features
        self.cache_dtype = cache_dtype
        self.max_bad_media = max_bad_media

        self._catalogue: Catalogue | None = None
        self._fingerprint: str | None = None  # of a frozen encoder whose tokens are cached
        self._sets: dict[str, ManifestSet] = {}
        self._bad: dict[str, str] = {}  # a message for each clip left out, by its place

    # --- what a subclass may override

    def make(self) -> None:
        """Make what `manifests` names, if it is not there. One process calls it, before all others go on."""

    def manifests(self) -> list[Path]:
        """Return the manifest files. Every process calls it, after `make`."""
        return [Path(path) for path in self.manifest]

    # --- the contract of SampleData

    def attach(self, objective: Objective) -> None:
        """Take the objective's collator, preprocessing and (if frozen) encoder, before anything else."""
        self._objective = objective
        encoder = objective.vision_encoder
        cached = self.cache_features and encoder is not None and encoder.frozen
        self._fingerprint = encoder.fingerprint() if encoder is not None and cached else None
        self._sets = {}

    def prepare_data(self) -> None:
        """Make the data, then the feature caches of the sample sets that this stage needs, on one process.

        Raises:
            ManifestError: A manifest is broken, or an episode lies in two splits.
            RecipeError: A split of the recipe is not in the data.
            UserError: More media than allowed cannot be read, tokens are not finite, or the disk is full.
        """
        self.make()
        stage = self._stage_now()
        objective = self._attached()
        device = objective.device if self.trainer is None else self.trainer.strategy.root_device
        for name in self._needed(stage):
            self._maker.prepare(name, device=device)

    def setup(self, stage: str | None = None) -> None:
        """Read the manifests and open the caches that `prepare_data` made.

        Raises:
            ManifestError: A manifest is broken, or an episode lies in two splits.
            RecipeError: A split of the recipe is not in the data.
            UserError: More media than allowed cannot be read.
        """
        self._stage = stage
        self._sets, self._bad = {}, {}
        for name in self._needed(stage):
            self.sample_set(name)
        if len(self._bad) > self.max_bad_media:
            raise too_many_bad(list(self._bad.values()), len(self._bad), self.max_bad_media)

    def teardown(self, stage: str | None = None) -> None:
        """List the media that could not be read, in ``bad_media.txt`` of the run's folder."""
        messages = list(self._bad.values())
        for samples in self._sets.values():
            messages += [f"{samples.clips[i].owner}: replaced in training" for i in samples.bad.indices()]
        if not messages or self.trainer is None or not self.trainer.is_global_zero:
            return
        listing = Path(self.trainer.default_root_dir) / "bad_media.txt"
        listing.parent.mkdir(parents=True, exist_ok=True)
        listing.write_text("\n".join(messages) + "\n")
        warnings.warn(f"{len(messages)} clip(s) could not be read; '{listing}' lists them", stacklevel=2)

    @property
    def data_hash(self) -> str:
        """Hash of the manifests' samples and of the content of the media they name."""
        return self.catalogue.data_hash

    @property
    def labels(self) -> list[str]:
        """Every class name of the data set, over all splits, sorted."""
        return self.catalogue.labels

    @property
    def files(self) -> str:
        """The manifests' names, for messages."""
        return self.catalogue.files

    @property
    def split_names(self) -> list[str]:
        """Every split that has samples."""
        return list(self.catalogue.splits)

    def has_media(self, split: str) -> bool:
        """Whether a split has something to see; texts have not."""
        return self.catalogue.has_media(split)

    def sample_set(self, name: str) -> ManifestSet:
        """Return a split by name, after `setup`; the name may end in ``/single-frame``.

        Its tokens come from the cache if `prepare_data` made one; its media are decoded otherwise.
        """
        if name not in self._sets:
            self._sets[name], bad = self._maker.make(name, limit=self._limit(name))
            self._bad.update(bad)
        return self._sets[name]

    # --- how

    @property
    def catalogue(self) -> Catalogue:
        """What the manifests say."""
        if self._catalogue is None:
            self._take(Catalogue(self.manifests(), root=self.root))
        assert self._catalogue is not None
        return self._catalogue

    def take_catalogue(self, read: Catalogue) -> None:
        """Take over what another module has read, if its manifests are the same; reading takes seconds.

        Raises:
            RecipeError: A split of the recipe is not in the data.
        """
        if self.manifests() == read.manifests and self.root == read.root:
            self._take(read)

    def _take(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        try:
            self._check_splits()
        except RecipeError:
            self._catalogue = None
            raise

    @property
    def _maker(self) -> SetMaker:
        return SetMaker(
            catalogue=self.catalogue,
            encoder=self._attached().vision_encoder,
            fingerprint=self._fingerprint,
            cache_dtype=self.cache_dtype,
            max_bad=self.max_bad_media,
            num_workers=self.num_workers,
        )
