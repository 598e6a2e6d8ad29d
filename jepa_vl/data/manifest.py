"""Data from JSONL manifests: videos, images and frame folders, with a frozen encoder's tokens cached."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal

from torch.utils.data import DataLoader

from jepa_vl.data.bad_media import too_many_bad
from jepa_vl.data.base import SampleData
from jepa_vl.data.catalogue import Catalogue
from jepa_vl.data.clips import ManifestSet
from jepa_vl.data.loader import ShuffledSampler, eval_loader, train_loader
from jepa_vl.data.mixture import MixtureSampler, pools_of
from jepa_vl.data.sets import SUFFIX, TRAIN, SetMaker
from jepa_vl.errors import ManifestError, RecipeError
from jepa_vl.objectives.base import Objective
from jepa_vl.sample import Batch, Sample


class ManifestData(SampleData):
    """Samples of one or several JSONL manifests, by split.

    A subclass that makes its data first overrides `make` and `manifests`.

    Args:
        manifest: JSONL file or files; a sample's split stands in its line.
        root: Folder that relative media paths start from; the manifest's own by default.
        batch_size: Training samples in a batch, per process.
        eval_batch_size: Evaluation samples in a batch, per process; as in training by default.
        num_workers: Processes that read media, per process; 0 reads in the training process.
        val_split: Split to validate on during training; None for no validation.
        test_splits: Splits that the test verb evaluates; only ``test`` by default.
        single_frame_baseline: Whether each test split is evaluated a second time with the middle frame only;
            one of texts alone never is.
        cache_features: Whether a frozen vision encoder's tokens are computed once and kept on disk.
        cache_dtype: Number format of those tokens.
        max_bad_media: How many clips may be unreadable; they are left out and listed.
        mixture: Shares of the training batches, by role (``caption``, ``class``, ``vqa``, ``prompt``), kind
            or source of the samples; what is not named is left out. All samples alike by default.
        val_limit: Most samples to validate on during training, chosen at random once; None for all. The
            clips that they refer to (choices, and windows of a moment's video) come in addition.
        test_limit: Most samples of each test split to test on, chosen likewise; None for all. For results
            that are to be had often: final ones are of the whole split.
        seed: Of the order of the training batches.
    """

    def __init__(
        self,
        *,
        manifest: str | list[str],
        root: str | None = None,
        batch_size: int = 64,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        val_split: str | None = "val",
        test_splits: list[str] | None = None,
        single_frame_baseline: bool = True,
        cache_features: bool = True,
        cache_dtype: Literal["float32", "float16", "bfloat16"] = "float32",
        max_bad_media: int = 0,
        mixture: dict[str, float] | None = None,
        val_limit: int | None = None,
        test_limit: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value in {
            "batch_size": batch_size,
            "eval_batch_size": eval_batch_size,
            "val_limit": val_limit,
            "test_limit": test_limit,
        }.items():
            if value is not None and value < 1:
                raise RecipeError(f"data.{name} must be at least 1, found {value}")
        for name, number in {"num_workers": num_workers, "max_bad_media": max_bad_media}.items():
            if number < 0:
                raise RecipeError(f"data.{name} must not be negative, found {number}")
        self.manifest = [manifest] if isinstance(manifest, str) else list(manifest)
        self.root = root
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size or batch_size
        self.num_workers = num_workers
        self.val_split = val_split
        self.test_splits = ["test"] if test_splits is None else list(test_splits)
        self.single_frame_baseline = single_frame_baseline
        self.cache_features = cache_features
        self.cache_dtype = cache_dtype
        self.max_bad_media = max_bad_media
        self.mixture = mixture
        self.val_limit = val_limit
        self.test_limit = test_limit
        self.seed = seed

        self._stage: str | None = None
        self._catalogue: Catalogue | None = None
        self._objective: Objective | None = None
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
        stage = None if self.trainer is None or self.trainer.state.fn is None else self.trainer.state.fn.value
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
    def val_sets(self) -> list[str]:
        """Names of the sample sets of the validation loaders."""
        return [] if self.val_split is None else [self.val_split]

    @property
    def test_sets(self) -> list[str]:
        """Names of the sample sets of the test loaders: each split, and its single frames if it has any."""
        found = []
        for split in self.test_splits:
            found.append(split)
            if self.single_frame_baseline and self.catalogue.has_media(split):
                found.append(split + SUFFIX)
        return found

    def sample_set(self, name: str) -> ManifestSet:
        """Return a split by name, after `setup`; the name may end in ``/single-frame``.

        Its tokens come from the cache if `prepare_data` made one; its media are decoded otherwise.
        """
        if name not in self._sets:
            self._sets[name], bad = self._maker.make(name, limit=self._limit(name))
            self._bad.update(bad)
        return self._sets[name]

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled training batches, in an order that depends on ``seed`` alone."""
        samples = self.sample_set(TRAIN)
        sampler = self._train_sampler(samples.samples)
        collate = self._attached().collator()
        loader = train_loader(samples, sampler, collate=collate, num_workers=self.num_workers)
        loader.in_flight = self._in_flight
        return loader

    def val_dataloader(self) -> list[DataLoader[Batch]]:
        """One loader for each of `val_sets`."""
        return [self._eval_loader(name) for name in self.val_sets]

    def test_dataloader(self) -> list[DataLoader[Batch]]:
        """One loader for each of `test_sets`."""
        return [self._eval_loader(name) for name in self.test_sets]

    def predict_dataloader(self) -> list[DataLoader[Batch]]:
        """One loader for each test split."""
        return [self._eval_loader(name) for name in self.test_splits]

    # --- how

    def _limit(self, name: str) -> int | None:
        """How many samples of a set this stage wants; None for all."""
        if self._stage == "fit":
            return self.val_limit if name in self.val_sets else None
        return self.test_limit if self._stage == "test" and name in self.test_sets else None

    @property
    def catalogue(self) -> Catalogue:
        """What the manifests say."""
        if self._catalogue is None:
            catalogue = Catalogue(self.manifests(), root=self.root)
            catalogue.check_splits(self.val_sets, "val_split", "'val_split: null' for no validation")
            catalogue.check_splits(self.test_splits, "test_splits", "'test_splits: []' for no test")
            self._catalogue = catalogue
        return self._catalogue

    def take_catalogue(self, other: ManifestData) -> None:
        """Take over what another module has read, if its manifests are the same; reading takes seconds."""
        if self.manifests() == other.manifests() and self.root == other.root:
            self._catalogue = other.catalogue

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

    def _train_sampler(self, samples: list[Sample]) -> ShuffledSampler:
        rank, world_size = self._rank()
        if self.mixture is None:
            return ShuffledSampler(
                len(samples), batch_size=self.batch_size, seed=self.seed, rank=rank, world_size=world_size
            )
        return MixtureSampler(
            pools_of(samples, self.mixture),
            self.mixture,
            batch_size=self.batch_size,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
        )

    def _attached(self) -> Objective:
        if self._objective is None:
            if self.trainer is None or not isinstance(self.trainer.lightning_module, Objective):
                raise RuntimeError("call attach(objective) before preparing or loading data")
            self.attach(self.trainer.lightning_module)
        assert self._objective is not None
        return self._objective

    def _needed(self, stage: str | None) -> list[str]:
        """Names of the sample sets of a stage; of all stages for None."""
        by_stage = {
            "fit": [TRAIN, *self.val_sets],
            "validate": self.val_sets,
            "test": self.test_sets,
            "predict": self.test_splits,
        }
        if stage == "fit" and TRAIN not in self.catalogue.splits:
            raise ManifestError(
                f"{self.catalogue.files}: no sample has the split '{TRAIN}' to train on; "
                f"there are {', '.join(sorted(self.catalogue.splits))}"
            )
        every = [name for names in by_stage.values() for name in names]
        return list(dict.fromkeys(every if stage is None else by_stage[stage]))

    def _eval_loader(self, name: str) -> DataLoader[Batch]:
        rank, world_size = self._rank()
        return eval_loader(
            self.sample_set(name),
            batch_size=self.eval_batch_size,
            collate=self._attached().collator(),
            num_workers=self.num_workers,
            rank=rank,
            world_size=world_size,
        )

    def _rank(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _in_flight(self) -> int:
        """Batches that Lightning has taken and not finished: one, when it is interrupted within a step."""
        if self.trainer is None:
            return 0
        progress: Any = self.trainer.fit_loop.epoch_loop.batch_progress.current
        return progress.ready - progress.processed
