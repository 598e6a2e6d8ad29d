from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from jepa_vl.cache import cache_dir
from jepa_vl.data.feature_cache import NotFiniteError
from jepa_vl.data.manifest import ManifestData
from jepa_vl.data.records import read_manifest, write_manifest
from jepa_vl.errors import ManifestError, RecipeError, UserError
from jepa_vl.sample import Sample

MakeManifest = Callable[..., Path]


def trainer(folder: Path, **settings: Any) -> Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(
        **{
            "max_epochs": 2,
            "accelerator": "cpu",
            "num_sanity_val_steps": 0,
            "enable_checkpointing": False,
            "default_root_dir": folder,
            **quiet,
            **settings,
        }
    )


def attached(objective: Any, stage: str | None = None, **settings: Any) -> ManifestData:
    data = ManifestData(**settings)
    data.attach(objective)
    data.prepare_data()
    data.setup(stage)
    return data


# --- what is served


def test_fit_and_test_serve_the_splits(make_manifest: MakeManifest, objective: Any, tmp_path: Path) -> None:
    data = ManifestData(manifest=str(make_manifest(novel=2)), batch_size=4, test_splits=["test", "novel"])
    assert data.test_sets == ["test", "test/single-frame", "novel", "novel/single-frame"]
    run = trainer(tmp_path)
    run.fit(objective, data)
    assert all(id.startswith("train") for batch in objective.seen for id in batch)
    assert len(objective.seen) == 6
    assert len(objective.validated) == 2 * 6
    run.test(objective, data)
    expected = {name: [s.id for s in data.sample_set(name).samples] for name in data.test_sets}
    assert {data.test_sets[i]: ids for i, ids in objective.tested.items()} == expected
    predicted = run.predict(objective, data)
    assert [sum(part, []) for part in predicted] == [expected["test"], expected["novel"]]  # noqa: RUF017


@pytest.mark.parametrize("frozen", [True, False])
def test_cached_and_live_runs_see_equal_tokens(
    make_manifest: MakeManifest, tiny: SimpleNamespace, frozen: bool
) -> None:
    path = str(make_manifest())
    objective = tiny.objective(tiny.encoder(frozen=frozen))
    live = attached(objective, manifest=path, cache_features=False)
    cached = attached(objective, manifest=path, cache_features=True)
    for name in ("train", "val", "test", "test/single-frame"):
        for i in range(len(live.sample_set(name))):
            one, other = live.sample_set(name)[i], cached.sample_set(name)[i]
            assert one.video is not None
            assert (other.tokens is not None) == frozen, "only a frozen encoder's tokens can be cached"
            tokens = objective.vision_encoder(one.video[None])[0]
            assert torch.equal(tokens, tokens if other.tokens is None else other.tokens)
            assert (one.index, one.sample) == (i, other.sample)


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_batches_for_a_gpu_lie_where_it_can_copy_them_from(
    make_manifest: MakeManifest, objective: Any, device: str
) -> None:
    data = attached(objective, manifest=str(make_manifest()), batch_size=4)
    objective._device = torch.device(device)
    loaders: list[Any] = [data.train_dataloader(), *data.val_dataloader(), *data.test_dataloader()]
    assert {loader.pin_memory for loader in loaders} == {device != "cpu"}


def test_single_frames_take_the_motion_away(make_manifest: MakeManifest, objective: Any) -> None:
    data = attached(objective, manifest=str(make_manifest()), cache_features=False)
    clip, still = data.sample_set("test")[0].video, data.sample_set("test/single-frame")[0].video
    assert clip is not None
    assert still is not None
    assert torch.equal(still[0], clip[1])  # the middle one of two
    assert torch.equal(still[0], still[1])
    assert torch.equal(data.sample_set("test").frames(0), clip)


def test_samples_that_share_a_clip_share_its_features(make_manifest: MakeManifest, objective: Any) -> None:
    attached(objective, manifest=str(make_manifest(train=32, val=1)), single_frame_baseline=False)
    rows = [
        len(json.loads(index.read_text())["rows"]) for index in cache_dir("features").glob("*/index.json")
    ]
    assert sorted(rows) == [1, 3, 32]  # val, test and train, of twice as many samples


def test_validation_in_a_fit_is_small_and_the_same_for_every_seed(
    make_manifest: MakeManifest, objective: Any
) -> None:
    path = str(make_manifest(val=9))
    chosen = [
        [
            s.id
            for s in attached(objective, "fit", manifest=path, val_limit=5, seed=seed)
            .sample_set("val")
            .samples
        ]
        for seed in (0, 1)
    ]
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == 5
    whole = attached(objective, "validate", manifest=path, val_limit=5)
    assert len(whole.sample_set("val")) == 18


def test_a_limited_test_draws_the_same_samples_with_and_without_motion(
    make_manifest: MakeManifest, objective: Any
) -> None:
    data = attached(objective, "test", manifest=str(make_manifest(test=9)), test_limit=5)
    chosen = [s.id for s in data.sample_set("test").samples]
    assert len(chosen) == 5
    assert [s.id for s in data.sample_set("test/single-frame").samples] == chosen
    assert len(data.sample_set("train")) == 12  # nothing else is shortened


def test_a_subclass_makes_its_data_first(make_manifest: MakeManifest, objective: Any, tmp_path: Path) -> None:
    class Made(ManifestData):
        def make(self) -> None:
            self.path = make_manifest(folder="made")

        def manifests(self) -> list[Path]:
            return [self.path]

    data = Made(manifest=[], batch_size=4)
    trainer(tmp_path, max_epochs=1).fit(objective, data)
    assert len(objective.seen) == 3
    assert data.labels == ["class 0", "class 1"]


# --- caches


def test_the_cache_is_reused_until_something_it_depends_on_changes(
    make_manifest: MakeManifest, tiny: SimpleNamespace, media: SimpleNamespace
) -> None:
    path = make_manifest()

    def encoded(**encoder: Any) -> int:
        objective = tiny.objective(tiny.encoder(**encoder))
        attached(objective, "fit", manifest=str(path))
        return int(objective.vision_encoder.calls)

    assert encoded() > 0
    assert encoded() == 0, "not reused by a second run"
    assert encoded(weight=2.0) > 0, "another encoder"
    assert encoded(size=6) > 0, "another preprocessing"
    samples = read_manifest(path)
    write_manifest(path, [s.model_copy(update={"target": "another text"}) for s in samples])
    assert encoded() == 0, "texts are not encoded, so they need no new features"
    media.image(path.parent / "train0" / "1.png", 200)
    assert encoded() > 0, "other frames"
    write_manifest(path, samples[:-2] + [s.model_copy(update={"split": "train"}) for s in samples[-2:]])
    assert encoded() > 0, "another set of clips"


def test_nan_tokens_stop_the_run_with_the_sample(make_manifest: MakeManifest, tiny: SimpleNamespace) -> None:
    objective = tiny.objective(tiny.encoder(weight=float("nan")))
    with pytest.raises(NotFiniteError, match="sample 'train0-caption'"):
        attached(objective, "fit", manifest=str(make_manifest()))


def test_the_hash_of_the_data_follows_manifest_and_frames(
    make_manifest: MakeManifest, objective: Any, media: SimpleNamespace
) -> None:
    path = make_manifest()
    hashes = [attached(objective, manifest=str(path)).data_hash for _ in range(2)]
    media.image(path.parent / "test0" / "0.png", 1)
    hashes.append(attached(objective, manifest=str(path)).data_hash)
    write_manifest(path, read_manifest(path)[:-1])
    hashes.append(attached(objective, manifest=str(path)).data_hash)
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


# --- going on


class StopAt(Callback):
    """Saves and stops within an epoch, as Ctrl-C does."""

    def __init__(self, step: int, path: Path) -> None:
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            raise KeyboardInterrupt


@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("step", [2, 3, 5])
def test_a_run_stopped_within_an_epoch_goes_on_as_if_it_never_was(
    make_manifest: MakeManifest, tiny: SimpleNamespace, tmp_path: Path, num_workers: int, step: int
) -> None:
    settings = {"manifest": str(make_manifest()), "batch_size": 4, "num_workers": num_workers, "seed": 3}

    def fit(callbacks: list[Callback], ckpt: Path | None = None) -> Any:
        torch.manual_seed(0)
        objective = tiny.objective()
        run = trainer(tmp_path, max_epochs=3, callbacks=callbacks)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*not resumable.*")
            try:
                run.fit(objective, ManifestData(**settings), ckpt_path=ckpt)
            except (KeyboardInterrupt, SystemExit):
                assert callbacks
        return objective

    whole = fit([])
    before = fit([StopAt(step, tmp_path / "stop.ckpt")])
    after = fit([], tmp_path / "stop.ckpt")
    assert before.seen == whole.seen[:step]
    assert after.seen == whole.seen[step:]
    assert torch.equal(after.head.weight, whole.head.weight)


def test_a_run_ended_by_max_steps_goes_on_with_the_next_batches(
    make_manifest: MakeManifest, tiny: SimpleNamespace, tmp_path: Path
) -> None:
    settings = {"manifest": str(make_manifest()), "batch_size": 4}
    whole, first, second = tiny.objective(), tiny.objective(), tiny.objective()
    trainer(tmp_path, max_epochs=-1, max_steps=8).fit(whole, ManifestData(**settings))
    keep = ModelCheckpoint(tmp_path, save_last=True, save_top_k=0, every_n_train_steps=1)
    short = trainer(tmp_path, max_epochs=-1, max_steps=4, enable_checkpointing=True, callbacks=[keep])
    short.fit(first, ManifestData(**settings))
    short.save_checkpoint(tmp_path / "end.ckpt")
    long = trainer(tmp_path, max_epochs=-1, max_steps=8)
    long.fit(second, ManifestData(**settings), ckpt_path=tmp_path / "end.ckpt")
    assert first.seen + second.seen == whole.seen


# --- bad input


def test_wrong_settings_name_their_key(make_manifest: MakeManifest, objective: Any) -> None:
    path = str(make_manifest())
    for key, value in {
        "batch_size": 0,
        "val_limit": 0,
        "test_limit": 0,
        "num_workers": -1,
        "max_bad_media": -2,
    }.items():
        with pytest.raises(RecipeError, match=rf"data\.{key} .* found {value}"):
            ManifestData(**{"manifest": path, key: value})
    with pytest.raises(RecipeError, match=r"data\.test_splits names the split 'tset'.*did you mean 'test'"):
        attached(objective, "fit", manifest=path, test_splits=["tset"])
    with pytest.raises(RecipeError, match=r"data\.val_split names the split 'vla'.*did you mean 'val'"):
        attached(objective, "fit", manifest=path, val_split="vla")
    with pytest.raises(UserError, match="make batch_size at most 12"):
        attached(objective, "fit", manifest=path, batch_size=13).train_dataloader()


def test_data_without_a_train_split_can_be_tested_but_not_trained_on(
    make_manifest: MakeManifest, objective: Any
) -> None:
    settings = {"manifest": str(make_manifest(train=0))}
    assert len(attached(objective, "test", **settings).sample_set("train")) == 0
    with pytest.raises(
        ManifestError, match="no sample has the split 'train' to train on; there are test, val"
    ):
        attached(objective, "fit", **settings)


def test_data_without_validation_trains(make_manifest: MakeManifest, objective: Any, tmp_path: Path) -> None:
    data = ManifestData(manifest=str(make_manifest(val=0)), batch_size=4, val_split=None)
    trainer(tmp_path, max_epochs=1).fit(objective, data)
    assert objective.validated == []
    assert len(objective.seen) == 3


@pytest.mark.parametrize("cached", [True, False])
def test_missing_media_stop_the_run_before_it_begins(
    make_manifest: MakeManifest, objective: Any, cached: bool
) -> None:
    path = make_manifest()
    (path.parent / "train3").rename(path.parent / "train33")
    with pytest.raises(UserError, match=r"1 clip\(s\) cannot be read.*allows none") as caught:
        attached(objective, "fit", manifest=str(path), cache_features=cached)
    assert "sample 'train3-caption'" in str(caught.value)
    assert "line 7" in str(caught.value)
    assert "did you mean 'train33'" in str(caught.value)


@pytest.mark.parametrize("cached", [True, False])
def test_corrupt_media_are_skipped_up_to_the_limit_and_listed_at_the_end(
    make_manifest: MakeManifest, objective: Any, tmp_path: Path, cached: bool
) -> None:
    path = make_manifest()
    for name in ("train2", "val1"):
        for frame in (path.parent / name).iterdir():
            frame.write_bytes(b"broken")  # of equal content, and yet two clips
    settings: dict[str, Any] = {"manifest": str(path), "batch_size": 2, "cache_features": cached}
    with pytest.warns(UserWarning, match="could not be read"):
        trainer(tmp_path, max_epochs=1).fit(objective, ManifestData(**settings, max_bad_media=4))
    listed = (tmp_path / "bad_media.txt").read_text()
    assert "sample 'train2-caption'" in listed
    assert "sample 'val1-caption'" in listed
    assert len(objective.validated) == 4
    assert not {id for batch in objective.seen for id in batch} & {"train2-caption", "train2-question"}
    assert len(objective.seen) == (5 if cached else 6)
    with pytest.raises(UserError, match="cannot be read"):
        trainer(tmp_path, max_epochs=1).fit(objective, ManifestData(**settings, max_bad_media=0))


def test_a_limit_lowered_after_caching_is_kept(make_manifest: MakeManifest, objective: Any) -> None:
    path = make_manifest()
    for name in ("train2", "train4"):
        (path.parent / name / "1.png").write_bytes(b"broken")
    attached(objective, "fit", manifest=str(path), max_bad_media=2)
    with pytest.raises(UserError, match=r"2 clips cannot be read.*allows 1"):
        attached(objective, "fit", manifest=str(path), max_bad_media=1)


def test_preparing_without_an_objective_says_what_to_call(make_manifest: MakeManifest) -> None:
    with pytest.raises(RuntimeError, match="attach"):
        ManifestData(manifest=str(make_manifest())).prepare_data()


# --- several processes


class WriteSeen(Callback):
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        weight = pl_module.head.weight.flatten().tolist()
        text = json.dumps({"seen": pl_module.seen, "weight": weight})
        (self.folder / f"rank{trainer.global_rank}.json").write_text(text)


@pytest.mark.slow
def test_two_processes_train_on_the_batches_of_one(
    make_manifest: MakeManifest, tiny: SimpleNamespace, tmp_path: Path
) -> None:
    path = str(make_manifest())

    def fit(folder: Path, devices: int) -> list[dict[str, Any]]:
        folder.mkdir()
        torch.manual_seed(0)
        data = ManifestData(manifest=path, batch_size=4 // devices)
        strategy = "ddp_fork" if devices > 1 else "auto"
        run = trainer(folder, devices=devices, strategy=strategy, callbacks=[WriteSeen(folder)])
        run.fit(tiny.objective(), data)
        return [json.loads(f.read_text()) for f in sorted(folder.glob("rank*.json"))]

    (one,) = fit(tmp_path / "one", 1)
    two = fit(tmp_path / "two", 2)
    assert len(two) == 2
    for whole, *parts in zip(one["seen"], *(part["seen"] for part in two), strict=True):
        assert sorted(whole) == sorted(id for part in parts for id in part)
    assert two[0]["weight"] == pytest.approx(one["weight"], rel=1e-5)


def test_a_sample_needs_no_more_than_media_and_target(
    tmp_path: Path, media: SimpleNamespace, objective: Any
) -> None:
    media.video(tmp_path / "v.mp4", [10] * 10)
    media.image(tmp_path / "i.jpg", 20, size=(30, 20))
    write_manifest(
        tmp_path / "m.jsonl",
        [
            Sample(id="v", media="v.mp4", target="a", start=0.2, end=0.4),
            Sample(id="i", media="i.jpg", target="b"),
        ],
    )
    data = attached(
        objective, "fit", manifest=[str(tmp_path / "m.jsonl")], val_split=None, test_splits=[], batch_size=2
    )
    (batch,) = list(data.train_dataloader())
    assert batch.tokens.shape == (2, 2, 3)
