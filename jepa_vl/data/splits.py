"""What data modules have in common, wherever their samples come from: splits, batches, limits and loaders."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

from torch.utils.data import DataLoader

from jepa_vl.data.base import SINGLE_FRAME, SampleData, SampleSet
from jepa_vl.data.loader import ShuffledSampler, eval_loader, train_loader
from jepa_vl.data.mixture import MixtureSampler, pools_of
from jepa_vl.data.near import NearShuffle
from jepa_vl.errors import ManifestError, RecipeError, did_you_mean
from jepa_vl.objectives.base import Objective
from jepa_vl.sample import Batch
from jepa_vl.transfer import is_gpu

TRAIN = "train"
SUFFIX = f"/{SINGLE_FRAME}"


class SplitData(SampleData):
    """Samples by split, trained on in an order that can be resumed anywhere.

    A subclass says where the samples are: `split_names`, `has_media` and `sample_set`.

    Args:
        batch_size: Training samples in a batch, per process.
        eval_batch_size: Evaluation samples in a batch, per process; as in training by default.
        num_workers: Processes that read media, per process; 0 reads in the training process.
        val_split: Split to validate on during training; None for no validation.
        test_splits: Splits that the test verb evaluates; only ``test`` by default.
        single_frame_baseline: Whether each test split is evaluated a second time with the middle frame only;
            one of texts alone never is.
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
        batch_size: int = 64,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        val_split: str | None = "val",
        test_splits: list[str] | None = None,
        single_frame_baseline: bool = True,
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
        if num_workers < 0:
            raise RecipeError(f"data.num_workers must not be negative, found {num_workers}")
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size or batch_size
        self.num_workers = num_workers
        self.val_split = val_split
        self.test_splits = ["test"] if test_splits is None else list(test_splits)
        self.single_frame_baseline = single_frame_baseline
        self.mixture = mixture
        self.val_limit = val_limit
        self.test_limit = test_limit
        self.seed = seed

        self._stage: str | None = None
        self._objective: Objective | None = None

    # --- where the samples are

    @property
    @abstractmethod
    def files(self) -> str:
        """What the samples are read from, for messages."""

    @property
    @abstractmethod
    def split_names(self) -> list[str]:
        """Every split that has samples."""

    @abstractmethod
    def has_media(self, split: str) -> bool:
        """Whether a split has something to see; texts have not."""

    def near(self, samples: SampleSet) -> NearShuffle | None:
        """Return how training samples are shuffled among those that lie near; None to shuffle them all."""
        return None

    # --- the contract of SampleData

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
            if self.single_frame_baseline and self.has_media(split):
                found.append(split + SUFFIX)
        return found

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled training batches, in an order that depends on ``seed`` alone."""
        samples = self.sample_set(TRAIN)
        sampler = self._train_sampler(samples)
        collate = self._attached().collator()
        loader = train_loader(
            samples, sampler, collate=collate, num_workers=self.num_workers, pin_memory=self._on_gpu()
        )
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

    def _check_splits(self) -> None:
        """Refuse splits of the recipe that no sample has.

        Raises:
            RecipeError: Names the nearest split.
        """
        wanted: dict[str, tuple[Iterable[str], str]] = {
            "val_split": (self.val_sets, "'val_split: null' for no validation"),
            "test_splits": (self.test_splits, "'test_splits: []' for no test"),
        }
        for key, (names, off) in wanted.items():
            for name in names:
                if name not in self.split_names:
                    raise RecipeError(
                        f"data.{key} names the split '{name}', of which there is no sample in {self.files}; "
                        f"{did_you_mean(name, self.split_names)} ({off})"
                    )

    def _limit(self, name: str) -> int | None:
        """How many samples of a set this stage wants; None for all."""
        if self._stage == "fit":
            return self.val_limit if name in self.val_sets else None
        return self.test_limit if self._stage == "test" and name in self.test_sets else None

    def _needed(self, stage: str | None) -> list[str]:
        """Names of the sample sets of a stage; of all stages for None."""
        by_stage = {
            "fit": [TRAIN, *self.val_sets],
            "validate": self.val_sets,
            "test": self.test_sets,
            "predict": self.test_splits,
        }
        if stage == "fit" and TRAIN not in self.split_names:
            raise ManifestError(
                f"{self.files}: no sample has the split '{TRAIN}' to train on; "
                f"there are {', '.join(sorted(self.split_names))}"
            )
        every = [name for names in by_stage.values() for name in names]
        return list(dict.fromkeys(every if stage is None else by_stage[stage]))

    def _train_sampler(self, samples: SampleSet) -> ShuffledSampler:
        rank, world_size = self._rank()
        shared: dict[str, Any] = {
            "batch_size": self.batch_size,
            "seed": self.seed,
            "rank": rank,
            "world_size": world_size,
            "near": self.near(samples),
        }
        if self.mixture is None:
            return ShuffledSampler(len(samples), **shared)
        return MixtureSampler(pools_of(samples.samples, self.mixture), self.mixture, **shared)

    def _attached(self) -> Objective:
        if self._objective is None:
            if self.trainer is None or not isinstance(self.trainer.lightning_module, Objective):
                raise RuntimeError("call attach(objective) before preparing or loading data")
            self.attach(self.trainer.lightning_module)
        assert self._objective is not None
        return self._objective

    def _eval_loader(self, name: str) -> DataLoader[Batch]:
        rank, world_size = self._rank()
        return eval_loader(
            self.sample_set(name),
            batch_size=self.eval_batch_size,
            collate=self._attached().collator(),
            num_workers=self.num_workers,
            rank=rank,
            world_size=world_size,
            pin_memory=self._on_gpu(),
        )

    def _stage_now(self) -> str | None:
        """What the trainer does; None where there is none."""
        return None if self.trainer is None or self.trainer.state.fn is None else self.trainer.state.fn.value

    def _on_gpu(self) -> bool:
        """Whether batches are going to a GPU, which copies them by itself out of pinned memory."""
        return is_gpu(self._attached().device)

    def _rank(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _in_flight(self) -> int:
        """Batches that Lightning has taken and not finished: one, when it is interrupted within a step."""
        if self.trainer is None:
            return 0
        progress: Any = self.trainer.fit_loop.epoch_loop.batch_progress.current
        return progress.ready - progress.processed
