from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from jepa_vl_babyai.data import BabyAIData
from jsonargparse import ArgumentParser

from jepa_vl.errors import RecipeError
from jepa_vl.objectives.base import Collator, Objective
from jepa_vl.sample import Batch, Item, TextTokens
from jepa_vl.vision.base import Preprocessing, VisionEncoder

SIZES = {"train_clips": 16, "val_clips": 4, "test_clips": 6, "novel_clips": 4, "render_workers": 1}


class Pixels(VisionEncoder):
    """One token a frame: its mean colour."""

    dim = 3
    grid = (4, 1, 1)
    preprocessing = Preprocessing(size=(64, 64), num_frames=4)

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        return video.float().mean(dim=(3, 4))

    def fingerprint(self) -> str:
        return "pixels"


def collate(items: list[Item]) -> Batch:
    none = TextTokens(
        torch.zeros(len(items), 0, dtype=torch.long), torch.zeros(len(items), 0, dtype=torch.bool)
    )
    return Batch(
        samples=[item.sample for item in items],
        index=torch.tensor([item.index for item in items]),
        group=torch.tensor([item.sample.group_id for item in items]),
        query=none,
        target=none,
        tokens=torch.stack([item.tokens for item in items if item.tokens is not None]),
    )


class Watcher(Objective):
    def __init__(self) -> None:
        super().__init__()
        self.vision_encoder = Pixels(frozen=True)

    def collator(self) -> Collator:
        return collate


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BabyAIData]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JEPA_VL_CACHE", str(tmp_path_factory.mktemp("cache")))
        module = BabyAIData(**SIZES, batch_size=8, test_splits=["test", "novel"])
        module.attach(Watcher())
        module.prepare_data()
        module.setup("test")
        yield module


def test_it_renders_once_and_serves_every_split(data: BabyAIData) -> None:
    assert data.test_sets == ["test", "test/single-frame", "novel", "novel/single-frame"]
    assert {s.media for s in data.sample_set("novel").samples} == {f"clips/novel/{i:06d}" for i in range(4)}
    batch = next(iter(data.test_dataloader()[0]))
    assert batch.tokens is not None
    assert batch.tokens.shape == (8, 4, 3)
    made = data.folder.stat().st_mtime_ns
    data.make()
    assert data.folder.stat().st_mtime_ns == made
    assert len(data.data_hash) == 64
    assert any(label.startswith("open the") for label in data.labels)


def test_a_single_frame_is_the_third_of_four(data: BabyAIData) -> None:
    whole, single = data.sample_set("test")[0].tokens, data.sample_set("test/single-frame")[0].tokens
    assert whole is not None
    assert single is not None
    assert torch.equal(single, whole[2].expand(4, 3))


def test_its_own_and_inherited_arguments_can_stand_in_a_recipe() -> None:
    parser = ArgumentParser()
    parser.add_class_arguments(BabyAIData, "data")
    args = parser.parse_args(["--data.train_clips=20", "--data.batch_size=8", "--data.test_splits=[novel]"])
    module = parser.instantiate_classes(args).data
    assert (module.settings.train_clips, module.batch_size, module.test_splits) == (20, 8, ["novel"])
    assert "manifest" not in args.data


def test_the_seed_of_the_worlds_is_not_the_seed_of_the_batches() -> None:
    assert BabyAIData(seed=3).settings == BabyAIData().settings
    assert BabyAIData(world_seed=3).settings != BabyAIData().settings


def test_a_bad_size_is_refused_by_its_key() -> None:
    with pytest.raises(RecipeError, match=r"data\.tile must be at least 4, found 1"):
        BabyAIData(tile=1)


def test_scenes_come_beside_the_other_samples_and_only_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JEPA_VL_CACHE", str(tmp_path))
    plain, more = BabyAIData(**SIZES), BabyAIData(**SIZES, scenes=True)
    plain.make()
    more.make()
    kinds = {
        name: [r.sample.kind for r in data.catalogue.records] for name, data in [("p", plain), ("m", more)]
    }
    assert "scene" not in kinds["p"]
    assert kinds["m"].count("scene") == 16 + 4 + 6 + 4
    assert len(kinds["m"]) == len(kinds["p"]) + 30
