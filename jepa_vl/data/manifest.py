"""Data from JSONL manifests: videos, images and frame folders, with a frozen encoder's tokens cached."""

from __future__ import annotations

import random
import warnings
from pathlib import Path
from typing import Any, Literal

from torch.utils.data import DataLoader

from jepa_vl.data.bad_media import too_many_bad
from jepa_vl.data.base import SINGLE_FRAME, SampleData
from jepa_vl.data.catalogue import Catalogue
from jepa_vl.data.clips import Clip, ManifestSet
from jepa_vl.data.encode import build_cache
from jepa_vl.data.feature_cache import cache_key, open_cache
from jepa_vl.data.loader import ShuffledSampler, eval_loader, train_loader
from jepa_vl.data.reading import bad_media, check_media, refuse_unreadable
from jepa_vl.data.records import Record
from jepa_vl.errors import RecipeError, did_you_mean
from jepa_vl.objectives.base import Objective
from jepa_vl.sample import Batch

SUFFIX = f"/{SINGLE_FRAME}"


class ManifestData(SampleData):
    """Samples of one or several JSONL manifests, by split.

    A subclass that makes its data first overrides `make` and `manifests`.

    Args:
        manifest: JSONL file or files; a sample's split stands in its line.
        root: Folder that relative media paths start from; the manifest's own by default.
        batch_size: Training samples in a batch, per process.
        eval_batch_size: Evaluation samples in a batch, per process; as in training by default.
        num_workers: Processes that read media, per process; 0 reads in the training process.
        train_split: Split to train on.
        val_split: Split to validate on during training; None for no validation.
        test_splits: Splits that the test verb evaluates.
        single_frame_baseline: Whether each test split is evaluated a second time with the middle frame only.
        cache_features: Whether a frozen vision encoder's tokens are computed once and kept on disk.
        cache_dtype: Number format of those tokens.
        max_bad_media: How many clips may be unreadable; they are left out and listed.
        val_limit: Most samples to validate on during training, chosen at random once; None for all.
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
        train_split: str = "train",
        val_split: str | None = "val",
        test_splits: list[str] | None = None,
        single_frame_baseline: bool = True,
        cache_features: bool = True,
        cache_dtype: Literal["float32", "float16", "bfloat16"] = "float32",
        max_bad_media: int = 0,
        val_limit: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value in {
            "batch_size": batch_size,
            "eval_batch_size": eval_batch_size,
            "val_limit": val_limit,
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
        self.train_split = train_split
        self.val_split = val_split
        self.test_splits = ["test"] if test_splits is None else list(test_splits)
        self.single_frame_baseline = single_frame_baseline
        self.cache_features = cache_features
        self.cache_dtype = cache_dtype
        self.max_bad_media = max_bad_media
        self.val_limit = val_limit
        self.seed = seed

        self._stage: str | None = None
        self._catalogue: Catalogue | None = None
        self._objective: Objective | None = None
        self._fingerprint: str | None = None  # of a frozen encoder whose tokens are cached
        self._sets: dict[str, ManifestSet] = {}
        self._bad: dict[str, str] = {}  # message by digest, of clips that were left out

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
        cached = self.cache_features and objective.vision_encoder.frozen
        self._fingerprint = objective.vision_encoder.fingerprint() if cached else None
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
        for name in self._needed(stage):
            self._prepare_set(name)

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
        """Names of the sample sets of the test loaders: each split, and it with single frames."""
        kinds = ["", SUFFIX] if self.single_frame_baseline else [""]
        return [split + kind for split in self.test_splits for kind in kinds]

    def sample_set(self, name: str) -> ManifestSet:
        """Return a split by name, after `setup`; the name may end in ``/single-frame``.

        Its tokens come from the cache if `prepare_data` made one; its media are decoded otherwise.
        """
        if name not in self._sets:
            self._sets[name] = self._make_set(name)
        return self._sets[name]

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled training batches, in an order that depends on ``seed`` alone."""
        samples = self.sample_set(self.train_split)
        rank, world_size = self._rank()
        sampler = ShuffledSampler(
            len(samples), batch_size=self.batch_size, seed=self.seed, rank=rank, world_size=world_size
        )
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

    @property
    def catalogue(self) -> Catalogue:
        """What the manifests say."""
        if self._catalogue is None:
            catalogue = Catalogue(self.manifests(), root=self.root)
            catalogue.check_splits([self.train_split], "train_split", "'train_split' says what to train on")
            catalogue.check_splits(self.val_sets, "val_split", "'val_split: null' for no validation")
            catalogue.check_splits(self.test_splits, "test_splits", "'test_splits: []' for no test")
            self._catalogue = catalogue
        return self._catalogue

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
            "fit": [self.train_split, *self.val_sets],
            "validate": self.val_sets,
            "test": self.test_sets,
            "predict": self.test_splits,
        }
        every = [name for names in by_stage.values() for name in names]
        return list(dict.fromkeys(every if stage is None else by_stage[stage]))

    def _split(self, name: str) -> tuple[list[Record], list[Clip], bool]:
        """Records and clips of a sample set, and whether it is of single frames."""
        split, single = name.removesuffix(SUFFIX), name.endswith(SUFFIX)
        if split not in self.catalogue.splits:
            raise KeyError(f"no split '{split}'; {did_you_mean(split, self.catalogue.splits)}")
        records = self.catalogue.splits[split]
        return records, self.catalogue.clips(records), single

    def _key(self, clips: list[Clip], single: bool) -> str:
        """Name of what is kept on disk about these clips and this encoder."""
        preprocessing = self._attached().vision_encoder.preprocessing
        digests = (clip.digest for clip in clips)
        return cache_key(digests, preprocessing, self._fingerprint, self.cache_dtype, single)

    def _prepare_set(self, name: str) -> None:
        encoder = self._attached().vision_encoder
        _, clips, single = self._split(name)
        distinct = list({clip.digest: clip for clip in clips}.values())
        refuse_unreadable(distinct, self.catalogue.content, encoder.preprocessing, limit=self.max_bad_media)
        key = self._key(clips, single)
        if self._fingerprint is not None:
            if open_cache(key) is None:
                build_cache(
                    key,
                    distinct,
                    encoder,
                    what=f"Encoding '{name}'",
                    dtype=self.cache_dtype,
                    device=encoder.device if self.trainer is None else self.trainer.strategy.root_device,
                    single_frame=single,
                    num_workers=self.num_workers,
                    max_bad=self.max_bad_media,
                )
        elif self.max_bad_media and name != self.train_split and not single:
            check_media(
                key,
                distinct,
                encoder.preprocessing,
                what=f"Checking '{name}'",
                num_workers=self.num_workers,
                max_bad=self.max_bad_media,
            )

    def _make_set(self, name: str) -> ManifestSet:
        records, clips, single = self._split(name)
        cache = open_cache(self._key(clips, single)) if self._fingerprint is not None else None
        bad = cache.bad if cache is not None else bad_media(self._key(clips, single=False))
        keep = [i for i, clip in enumerate(clips) if clip.digest not in bad]
        self._bad.update(bad)
        if self._stage == "fit" and name in self.val_sets and self.val_limit is not None:
            # the same samples whatever the run's seed is, or runs could not be compared
            keep = sorted(random.Random(0).sample(keep, min(self.val_limit, len(keep))))
        return ManifestSet(
            name,
            [records[i] for i in keep],
            [clips[i] for i in keep],
            self._attached().vision_encoder.preprocessing,
            single_frame=single,
            cache=cache,
            max_bad=self.max_bad_media,
        )

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
