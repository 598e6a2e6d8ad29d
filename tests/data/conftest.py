"""Small media, manifests, and an objective that needs no weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from jepa_vl.data.records import write_manifest
from jepa_vl.objectives.base import Collator, Objective
from jepa_vl.sample import Batch, Item, Sample, TextTokens
from jepa_vl.vision.base import Preprocessing, VisionEncoder


class MeanEncoder(VisionEncoder):
    """Token = mean colour of a frame, times a weight."""

    dim = 3

    def __init__(self, *, frames: int = 2, size: int = 8, weight: float = 1.0, frozen: bool = True) -> None:
        super().__init__(frozen=frozen)
        self.grid = (frames, 1, 1)
        self.preprocessing = Preprocessing(size=(size, size), num_frames=frames)
        self.weight = nn.Parameter(torch.tensor(weight), requires_grad=not frozen)
        self.calls = 0

    def forward(self, video: Tensor) -> Tensor:
        self.calls += 1
        return video.float().mean(dim=(3, 4)) / 255 * self.weight  # [B, T, C]

    def fingerprint(self) -> str:
        return hashlib.sha256(str(float(self.weight)).encode()).hexdigest()


def collate(items: Sequence[Item]) -> Batch:
    empty = TextTokens(
        torch.zeros(len(items), 0, dtype=torch.long), torch.zeros(len(items), 0, dtype=torch.bool)
    )
    cached = items[0].tokens is not None
    return Batch(
        samples=[item.sample for item in items],
        index=torch.tensor([item.index for item in items]),
        group=torch.tensor([item.sample.group_id for item in items]),
        query=empty,
        target=empty,
        tokens=torch.stack([i.tokens for i in items if i.tokens is not None]) if cached else None,
        video=None if cached else torch.stack([i.video for i in items if i.video is not None]),
    )


class TinyObjective(Objective):
    """Regresses nothing much; notes the ids of each training batch."""

    def __init__(self, encoder: MeanEncoder | None = None) -> None:
        super().__init__()
        self.vision_encoder = encoder or MeanEncoder()
        self.head = nn.Linear(3, 1)
        self.seen: list[list[str]] = []
        self.validated: list[str] = []
        self.tested: dict[int, list[str]] = {}

    def collator(self) -> Collator:
        return collate

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.seen.append([sample.id for sample in batch.samples])
        return self.head(self.visual_tokens(batch)).square().mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.validated += [sample.id for sample in batch.samples]

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.tested.setdefault(dataloader_idx, []).extend(sample.id for sample in batch.samples)

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> list[str]:
        return [sample.id for sample in batch.samples]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.head.parameters(), lr=0.1)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEPA_VL_CACHE", str(tmp_path / "cache"))


def write_image(path: Path, value: int, *, size: tuple[int, int] = (8, 8)) -> Path:
    """An evenly grey image of (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, dtype=np.uint8)).save(path)
    return path


def write_frames(folder: Path, values: Sequence[int]) -> Path:
    for i, value in enumerate(values):
        write_image(folder / f"{i}.png", value)
    return folder


def write_video(
    path: Path, values: Sequence[int], *, fps: int = 10, gop: int = 5, b_frames: int = 0, size: int = 32
) -> Path:
    """Evenly grey frames; H.264 keeps such a grey within a few steps."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=fps, options={"g": str(gop), "bf": str(b_frames), "sc_threshold": "0"}
        )
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for value in values:
            frame = av.VideoFrame.from_ndarray(
                np.full((size, size, 3), value, dtype=np.uint8), format="rgb24"
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def media() -> SimpleNamespace:
    """Writers of small media."""
    return SimpleNamespace(image=write_image, frames=write_frames, video=write_video)


@pytest.fixture
def tiny() -> SimpleNamespace:
    """Classes of an objective and an encoder, and their collator."""
    return SimpleNamespace(objective=TinyObjective, encoder=MeanEncoder, collate=collate)


@pytest.fixture
def make_manifest(tmp_path: Path) -> Callable[..., Path]:
    """Write frame folders of random greys, two samples a clip, and their manifest."""

    def make(train: int = 6, val: int = 3, test: int = 3, *, folder: str = "data", **splits: int) -> Path:
        generator = np.random.default_rng(0)
        samples: list[Sample] = []
        for split, count in {"train": train, "val": val, "test": test, **splits}.items():
            for i in range(count):
                media = f"{split}{i}"
                write_frames(tmp_path / folder / media, generator.integers(0, 256, size=4).tolist())
                shared = {"media": media, "split": split, "episode": media}
                samples.append(
                    Sample(id=f"{media}-caption", target=f"target {i}", label=f"class {i % 2}", **shared)
                )
                samples.append(Sample(id=f"{media}-question", query="what?", target=f"answer {i}", **shared))
        path = tmp_path / folder / "manifest.jsonl"
        write_manifest(path, samples)
        return path

    return make


@pytest.fixture
def objective() -> TinyObjective:
    torch.manual_seed(0)
    return TinyObjective()


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
