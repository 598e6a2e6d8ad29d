"""The contract of a data module: samples by split, read for whatever encoder the objective has."""

from __future__ import annotations

from abc import abstractmethod

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from jepa_vl.objectives.base import Objective
from jepa_vl.sample import Batch, Item, Sample
from jepa_vl.transfer import is_gpu

SINGLE_FRAME = "single-frame"


class SampleSet(Dataset[Item]):
    """The items of one split, in a fixed order. ``samples[i]`` is known without reading its media.

    Attributes:
        name: The split, and ``split/single-frame`` where every frame of a clip is its middle one.
        samples: The records, in order; an item's ``index`` is its position here.
    """

    name: str
    samples: list[Sample]

    def __len__(self) -> int:
        return len(self.samples)

    def frames(self, index: int) -> Tensor | None:
        """Return a clip as uint8 ``[T, C, H, W]``, for people to look at; None where there are no frames."""
        return None


class SampleData(LightningDataModule):
    """Yields (video, query, target) samples and knows no objective.

    Its loaders use the collator of the objective it is attached to, and cache a frozen encoder's tokens.
    `val_dataloader` and `test_dataloader` return one loader for each of their sample sets, in the order
    of `val_sets` and `test_sets`.

    Attributes:
        train_split: Name of the split that is trained on.
    """

    train_split: str = "train"

    @abstractmethod
    def attach(self, objective: Objective) -> None:
        """Take the objective's collator, preprocessing and (if frozen) encoder. Call before any loader."""

    @property
    @abstractmethod
    def data_hash(self) -> str:
        """Hash of the manifest and of the media it names."""

    @property
    @abstractmethod
    def labels(self) -> list[str]:
        """Every class name of the data set, over all splits, sorted."""

    @abstractmethod
    def sample_set(self, name: str) -> SampleSet:
        """Return a split by name, after `setup`; the name may end in ``/single-frame``."""

    @property
    @abstractmethod
    def val_sets(self) -> list[str]:
        """Names of the sample sets of the validation loaders."""

    @property
    @abstractmethod
    def test_sets(self) -> list[str]:
        """Names of the sample sets of the test loaders."""

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move a batch; to a GPU without waiting for it."""
        return batch.to(device, non_blocking=is_gpu(device))

    @abstractmethod
    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled training batches."""
