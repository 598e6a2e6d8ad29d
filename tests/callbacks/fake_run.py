"""A whole run in a second: an objective that learns, data that can be resumed, tasks, our callbacks.

As a script, a test on several processes: ``python fake_run.py RUN_DIR DEVICES test|stop``.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from jepa_vl.callbacks.defaults import default_callbacks
from jepa_vl.data.base import SampleData, SampleSet
from jepa_vl.errors import UserError
from jepa_vl.objectives.base import EMBED, SCORE, Collator, Objective
from jepa_vl.sample import Batch, Item, Sample, TextTokens
from jepa_vl.tasks.base import Task
from jepa_vl.tasks.classification import ClassificationTask
from jepa_vl.tasks.retrieval import RetrievalTask
from jepa_vl.tasks.vqa import VQATask

WIDTH = 8
VERBS, COLOURS = ("open", "drop"), ("red", "blue", "green")
LABELS = sorted(f"{verb} the {colour} box" for verb in VERBS for colour in COLOURS)


def vector(text: str) -> Tensor:
    """A fixed random vector for a text."""
    seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")
    return torch.randn(WIDTH, generator=torch.Generator().manual_seed(seed))


def samples_of(split: str, n: int) -> list[Sample]:
    found = []
    for i in range(n):
        label = LABELS[i % len(LABELS)]
        common = {"media": f"{split}/{i}.mp4", "episode": f"{split}{i // 3}", "split": split}
        found.append(Sample(id=f"{split}-c{i}", target=f"someone {label}", label=label, **common))
        answer = ("yes", "no")[i % 2]
        found.append(
            Sample(
                id=f"{split}-q{i}",
                query="is it open?",
                target=answer,
                candidates=("yes", "no"),
                kind="presence/random",
                **common,
            )
        )
    return found


class FakeSet(SampleSet):
    """A clip shows its label; a single frame of it shows the colour only."""

    def __init__(self, name: str, samples: list[Sample]) -> None:
        self.name, self.samples = name, samples

    def __getitem__(self, index: int) -> Item:
        sample = self.samples[index]
        shown = sample.label or f"{sample.query} {sample.target}"
        if self.name.endswith("single-frame"):
            shown = " ".join(shown.split()[1:])
        return Item(sample, index, tokens=vector(shown)[None])

    def frames(self, index: int) -> Tensor:
        return torch.full((4, 3, 8, 8), index % 256, dtype=torch.uint8)


class Order(DataLoader[Item]):
    """Training batches in a seeded order, from a position that is in the checkpoint."""

    def __init__(self, data: Dataset[Item], batch_size: int) -> None:
        super().__init__(data, batch_size=batch_size, collate_fn=collate)
        self.position = 0

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        for _ in range(len(self)):
            epoch, at = divmod(self.position, len(self))
            order = torch.randperm(len(self.dataset), generator=torch.Generator().manual_seed(epoch))
            rows = order[at * self.batch_size :][: self.batch_size].tolist()
            self.position += 1
            yield collate([self.dataset[i] for i in rows])

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = state["position"]


def collate(items: Sequence[Item]) -> Batch:
    n = len(items)
    words = TextTokens(torch.zeros(n, 0, dtype=torch.long), torch.zeros(n, 0, dtype=torch.bool))
    return Batch(
        samples=[item.sample for item in items],
        index=torch.tensor([item.index for item in items]),
        group=torch.tensor([item.sample.group_id for item in items]),
        query=words,
        target=words,
        tokens=torch.stack([item.tokens for item in items if item.tokens is not None]),
    )


class FakeData(SampleData):
    def __init__(self, *, train: int = 24, test: int = 13, batch_size: int = 8) -> None:
        super().__init__()
        self.batch_size = batch_size
        sizes = {"train": train, "val": 7, "test": test, "novel": 5}
        self.splits = {name: samples_of(name, n) for name, n in sizes.items()}
        self.val_names = ["val"]

    def attach(self, objective: Objective) -> None:
        pass

    @property
    def data_hash(self) -> str:
        return "f" * 64

    @property
    def labels(self) -> list[str]:
        return LABELS

    def sample_set(self, name: str) -> SampleSet:
        split = name.partition("/")[0]
        if split not in self.splits:
            raise UserError(f"no split '{name}'")
        return FakeSet(name, self.splits[split])

    @property
    def val_sets(self) -> list[str]:
        return self.val_names

    @property
    def test_sets(self) -> list[str]:
        return ["test", "test/single-frame", "novel"]

    def train_dataloader(self) -> Any:
        return Order(self.sample_set("train"), self.batch_size)

    def _loader(self, name: str) -> DataLoader[Any]:
        data = self.sample_set(name)
        world = self.trainer.world_size if self.trainer else 1
        sampler = (
            DistributedSampler(data, world, self.trainer.global_rank, shuffle=False)
            if self.trainer and world > 1
            else None
        )
        return DataLoader(data, self.batch_size, sampler=sampler, collate_fn=collate)

    def val_dataloader(self) -> list[DataLoader[Any]]:
        return [self._loader(name) for name in self.val_sets]

    def test_dataloader(self) -> list[DataLoader[Any]]:
        return [self._loader(name) for name in self.test_sets]


class FakeObjective(Objective):
    """A linear map with dropout, from what a clip shows to the vector of its target."""

    def __init__(self, abilities: frozenset[str] = frozenset({EMBED, SCORE}), lr: float = 0.05) -> None:
        super().__init__()
        self.abilities, self.lr = abilities, lr
        self.map = nn.Linear(WIDTH, WIDTH)
        self.dropout = nn.Dropout(0.2)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)
        self.fail_at: int | None = None

    def collator(self) -> Collator:
        return collate

    def embed_video(self, batch: Batch) -> Tensor:
        assert batch.tokens is not None
        return normalize(self.map(self.dropout(batch.tokens[:, 0])), dim=-1)

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        return normalize(torch.stack([vector(text) for text in texts]).to(self.device), dim=-1)

    def score(self, batch: Batch, candidates: Sequence[Sequence[str]]) -> list[Tensor]:
        return [self.embed_text(c) @ v for c, v in zip(candidates, self.embed_video(batch), strict=True)]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        if self.fail_at == self.trainer.global_step:
            raise RuntimeError("out of luck")
        loss = (
            1 - (self.embed_video(batch) * self.embed_text([s.target for s in batch.samples])).sum(-1).mean()
        )
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        pass

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        pass

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.map.parameters(), lr=self.lr)


def tasks() -> list[Task]:
    return [
        RetrievalTask(score_gallery=4),
        ClassificationTask(attributes={"verb": "^(open|drop)"}),
        VQATask(),
    ]


def trainer_for(
    run_dir: Path, data: SampleData, *extra: Callback, measured: list[Task] | None = None, **options: Any
) -> Trainer:
    settings: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": TensorBoardLogger(run_dir.parent, name=run_dir.name, version=""),
        "max_steps": 12,
        "val_check_interval": 4,
        "check_val_every_n_epoch": None,
        "log_every_n_steps": 2,
        "use_distributed_sampler": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 1,
        **options,
    }
    if settings["logger"] is False:
        raise ValueError("the learning-rate monitor needs a logger")
    callbacks = default_callbacks(run_dir=run_dir, tasks=tasks() if measured is None else measured, data=data)
    return Trainer(callbacks=[*callbacks, *extra], **settings)


def main() -> None:
    run_dir, devices = Path(sys.argv[1]), int(sys.argv[2])
    torch.manual_seed(0)
    data = FakeData()
    objective = FakeObjective()
    strategy = DDPStrategy(process_group_backend="gloo") if devices > 1 else "auto"
    if sys.argv[3] == "test":
        trainer_for(run_dir, data, devices=devices, strategy=strategy).test(objective, data)
    else:
        trainer_for(run_dir, data, OneCtrlC(), devices=devices, strategy=strategy).fit(objective, data)


class OneCtrlC(Callback):
    """Presses Ctrl-C in the last process only, in the sixth step."""

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == 5 and trainer.global_rank == trainer.world_size - 1:
            os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    main()
