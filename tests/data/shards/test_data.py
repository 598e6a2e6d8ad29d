"""Training on a prepared set is training on its manifest."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer

from jepa_vl.data.manifest import ManifestData
from jepa_vl.data.records import read_manifest, write_manifest
from jepa_vl.data.shards.data import ShardsData
from jepa_vl.data.shards.description import Frames
from jepa_vl.errors import ManifestError, RecipeError, UserError
from jepa_vl.sample import Sample

Make = Callable[..., Path]


def trainer(folder: Path, **options: Any) -> Trainer:
    settings: dict[str, Any] = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
        "default_root_dir": folder,
    }
    return Trainer(**{**settings, **options})


def attached(data: Any, objective: Any, stage: str | None = None) -> Any:
    data.attach(objective)
    data.prepare_data()
    data.setup(stage)
    return data


def both(manifest: Path, folder: Path, objective: Any, stage: str | None = None, **settings: Any) -> Any:
    """The manifest's data module, with its features cached in float32, and that of the shards."""
    cached = settings.pop("cache_features", True)
    one = attached(ManifestData(manifest=str(manifest), cache_features=cached, **settings), objective, stage)
    return one, attached(ShardsData(shards=str(folder), **settings), objective, stage)


def test_pictures_without_loss_are_the_manifest_s_frames(
    make_manifest: Make, prepare_set: Make, objective: Any
) -> None:
    manifest = make_manifest()
    one, other = both(manifest, prepare_set(manifest, features=False), objective, cache_features=False)
    for name in ("train", "val", "test", "test/single-frame"):
        assert other.sample_set(name).samples == one.sample_set(name).samples
        for i in range(len(one.sample_set(name))):
            a, b = one.sample_set(name)[i], other.sample_set(name)[i]
            assert torch.equal(a.video, b.video)
            assert (a.sample, a.index, b.tokens) == (b.sample, b.index, None)
            assert torch.equal(one.sample_set(name).frames(i), other.sample_set(name).frames(i))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_stored_tokens_are_the_feature_cache_s(
    make_manifest: Make, prepare_set: Make, objective: Any, dtype: str
) -> None:
    manifest = make_manifest()
    one, other = both(manifest, prepare_set(manifest, dtype=dtype), objective)
    for name in ("train", "val", "test", "test/single-frame"):
        for i in range(len(one.sample_set(name))):
            tokens = other.sample_set(name)[i].tokens
            assert torch.equal(one.sample_set(name)[i].tokens.to(getattr(torch, dtype)), tokens)
            assert other.sample_set(name).frames(i) is None


def test_what_identifies_the_data_is_the_manifest_s(
    make_manifest: Make, prepare_set: Make, objective: Any
) -> None:
    manifest = make_manifest()
    one, other = both(manifest, prepare_set(manifest), objective)
    assert other.data_hash == one.data_hash
    assert (other.labels, other.val_sets, other.test_sets) == (one.labels, one.val_sets, one.test_sets)
    jpeg = prepare_set(manifest, features=False, frames=Frames(), output="jpeg")
    lossy = attached(ShardsData(shards=str(jpeg)), objective)
    assert lossy.data_hash != one.data_hash, "pictures that lost something are other data"


def losses(objective: Any, data: Any, folder: Path, **options: Any) -> list[float]:
    seen: list[float] = []

    class Note(Callback):
        def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, *args: Any) -> None:
            seen.append(float(outputs["loss"]))

    trainer(folder, max_epochs=2, callbacks=[Note()], **options).fit(objective, data)
    return seen


@pytest.mark.parametrize("mixture", [None, {"class": 2, "prompt": 1}])
def test_training_on_shards_of_features_is_training_on_the_feature_cache(
    make_manifest: Make,
    prepare_set: Make,
    tiny: SimpleNamespace,
    tmp_path: Path,
    mixture: dict[str, float] | None,
) -> None:
    manifest = make_manifest()
    settings: dict[str, Any] = {"batch_size": 4, "seed": 3, "mixture": mixture}
    folder = prepare_set(manifest)
    runs = []
    for data in (
        ManifestData(manifest=str(manifest), **settings),
        ShardsData(shards=str(folder), **settings),
    ):
        torch.manual_seed(0)
        objective = tiny.objective()
        found = losses(objective, data, tmp_path)
        runs.append((objective.seen, objective.validated, found))
    assert runs[0][:2] == runs[1][:2], "the same samples in the same batches"
    assert runs[1][2] == pytest.approx(runs[0][2], rel=2e-2), "the same tokens, up to bfloat16"
    assert len(runs[0][2]) == 6


class StopAt(Callback):
    def __init__(self, step: int, path: Path) -> None:
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            raise KeyboardInterrupt


@pytest.mark.parametrize("shuffle_shards", [None, 2])
@pytest.mark.parametrize("workers", [(0, 0), pytest.param((2, 1), marks=pytest.mark.slow)])
def test_a_run_stopped_within_an_epoch_goes_on_with_another_number_of_workers(
    make_manifest: Make,
    prepare_set: Make,
    tiny: SimpleNamespace,
    tmp_path: Path,
    shuffle_shards: int | None,
    workers: tuple[int, int],
) -> None:
    folder = prepare_set(make_manifest(train=10))

    def fit(num_workers: int, callbacks: list[Callback], ckpt: Path | None = None) -> Any:
        torch.manual_seed(0)
        objective = tiny.objective()
        data = ShardsData(
            shards=str(folder), batch_size=4, num_workers=num_workers, shuffle_shards=shuffle_shards
        )
        try:
            trainer(tmp_path, max_epochs=2, callbacks=callbacks).fit(objective, data, ckpt_path=ckpt)
        except (KeyboardInterrupt, SystemExit):
            assert callbacks
        return objective

    whole = fit(0, [])
    before = fit(workers[0], [StopAt(3, tmp_path / "stop.ckpt")])
    after = fit(workers[1], [], tmp_path / "stop.ckpt")
    assert len(whole.seen) == 10
    assert before.seen + after.seen == whole.seen
    assert torch.equal(after.head.weight, whole.head.weight)


def test_several_sets_are_one_and_are_mixed_by_source(
    make_manifest: Make, prepare_set: Make, objective: Any, tmp_path: Path
) -> None:
    folders = []
    for source in ("a", "b"):
        manifest = make_manifest(folder=source)
        named = [
            s.model_copy(
                update={"id": f"{source}/{s.id}", "episode": f"{source}{s.episode}", "source": source}
            )
            for s in read_manifest(manifest)
        ]
        write_manifest(manifest, named)
        folders.append(str(prepare_set(manifest, output=f"set-{source}")))
    mixture = {"a": 3.0, "b": 1.0}
    data = attached(ShardsData(shards=folders, batch_size=4, mixture=mixture, shuffle_shards=2), objective)
    for batch in data.train_dataloader():
        assert sorted(sample.source for sample in batch.samples) == ["a", "a", "a", "b"]
    assert len(data.sample_set("val")) == 12
    assert len({data.data_hash, *(ShardsData(shards=f).data_hash for f in folders)}) == 3
    with pytest.raises(UserError, match="twice"):
        attached(ShardsData(shards=[folders[0], folders[0]]), objective)


def test_sets_that_share_an_id_are_refused(make_manifest: Make, prepare_set: Make, objective: Any) -> None:
    folders = [
        str(prepare_set(make_manifest(folder=name), output=f"set-{name}", features=features))
        for name, features in (("a", True), ("b", False))
    ]
    with pytest.raises(ManifestError, match=r"field 'id': 'train0-caption' stands in '.*set-a', split train"):
        attached(ShardsData(shards=folders), objective)


def test_limits_draw_what_the_manifest_draws(make_manifest: Make, prepare_set: Make, objective: Any) -> None:
    manifest = make_manifest(val=9)
    one, other = both(manifest, prepare_set(manifest), objective, "fit", val_limit=5)
    assert other.sample_set("val").samples == one.sample_set("val").samples
    assert len(other.sample_set("val")) == 5


def test_an_objective_of_texts_alone_reads_no_media(
    make_manifest: Make, prepare_set: Make, tiny: SimpleNamespace
) -> None:
    folder = prepare_set(make_manifest())
    objective = tiny.objective()
    objective.vision_encoder = None
    for shard in folder.glob("chunk-*"):
        shard.unlink()
    item = attached(ShardsData(shards=str(folder)), objective).sample_set("train")[0]
    assert (item.video, item.tokens) == (None, None)


def test_a_split_of_texts_has_no_clips(make_manifest: Make, prepare_set: Make, objective: Any) -> None:
    manifest = make_manifest()
    texts = [Sample(id=f"t{i}", media="", target=f"text {i}", split="texts") for i in range(3)]
    write_manifest(manifest, [*read_manifest(manifest), *texts])
    folder = prepare_set(manifest)
    data = attached(ShardsData(shards=str(folder), test_splits=["test", "texts"]), objective)
    assert data.test_sets == ["test", "test/single-frame", "texts"]
    assert data.sample_set("texts")[1].tokens is None


# --- what does not fit


def test_another_encoder_is_one_clear_error(
    make_manifest: Make, prepare_set: Make, tiny: SimpleNamespace
) -> None:
    data = ShardsData(shards=str(prepare_set(make_manifest())))
    with pytest.raises(
        RecipeError, match=r"holds tokens of MeanEncoder \(2 × 1 × 1 tokens of 3 .* prepare it"
    ):
        data.attach(tiny.objective(tiny.encoder(weight=2.0)))
    with pytest.raises(RecipeError, match="freeze it, or prepare pictures"):
        data.attach(tiny.objective(tiny.encoder(frozen=False)))


def test_another_preprocessing_is_one_clear_error(
    make_manifest: Make, prepare_set: Make, tiny: SimpleNamespace
) -> None:
    data = ShardsData(shards=str(prepare_set(make_manifest(), features=False)))
    data.attach(tiny.objective(tiny.encoder(frozen=False, weight=2.0)))
    said = "prepared from 2 frames of 8 × 8 pixels (bicubic, shortest), and the vision encoder reads 4 frames"
    with pytest.raises(RecipeError, match=re.escape(said)):
        data.attach(tiny.objective(tiny.encoder(frames=4)))


def test_a_missing_split_and_missing_single_frames_name_their_key(
    make_manifest: Make, prepare_set: Make, objective: Any
) -> None:
    folder = str(prepare_set(make_manifest(novel=2)))
    with pytest.raises(RecipeError, match=r"data\.test_splits names the split 'tset'.*did you mean 'test'"):
        attached(ShardsData(shards=folder, test_splits=["tset"]), objective)
    with pytest.raises(RecipeError, match=r"no single-frame tokens of 'novel' \(of test\).*baseline: false"):
        attached(ShardsData(shards=folder, test_splits=["novel"]), objective)
    attached(ShardsData(shards=folder, test_splits=["novel"], single_frame_baseline=False), objective)


def test_wrong_settings_name_their_key() -> None:
    for settings, said in (
        ({"shuffle_shards": 0}, r"data\.shuffle_shards .* found 0"),
        ({"cache_limit_gib": 0.0}, r"data\.cache_limit_gib .* found 0"),
        ({"batch_size": 0}, r"data\.batch_size .* found 0"),
        ({"shards": []}, r"data\.shards is empty"),
    ):
        with pytest.raises(RecipeError, match=said):
            ShardsData(**{"shards": "x", **settings})


def test_no_set_and_an_unfinished_one_are_told_apart(tmp_path: Path, objective: Any) -> None:
    with pytest.raises(UserError, match="holds no prepared data"):
        ShardsData(shards=str(tmp_path / "nothing")).attach(objective)
