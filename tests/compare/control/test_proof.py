"""Every check of the control sheet catches its planted difference, and no other check cries out."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from rich.console import Console

from jepa_vl.compare.control import proof
from jepa_vl.compare.control.observe import observe
from jepa_vl.compare.control.proof import ControlSheet, control_sheet, judged
from jepa_vl.compare.control.table import control_tables
from jepa_vl.data.catalogue import Catalogue
from jepa_vl.data.loader import ShuffledSampler
from jepa_vl.data.manifest import ManifestData
from jepa_vl.errors import RecipeError
from jepa_vl.objectives.token import TokenObjective
from jepa_vl.registry import get
from jepa_vl.tasks.retrieval import RetrievalTask

Plant = Callable[[pytest.MonkeyPatch], None]


def verdicts(sheet: ControlSheet, verdict: str) -> set[str]:
    return {row.check for row in sheet.rows if row.verdict == verdict}


def test_arms_that_differ_in_their_own_parts_pass_every_check(compare) -> None:
    sheet = control_sheet(compare())
    assert {row.verdict for row in sheet.rows} == {"same"}
    assert len(sheet.rows) == 20
    assert not sheet.refused
    differ = {each.key: each.values for each in sheet.differs}
    assert next(iter(differ)) == "objective"
    assert differ["objective.embed_dim"] == {"jepa": "16", "token": "not set"}
    assert differ["objective.language_model"]["token"].startswith("TransformerLM, dim 16, layers 2, heads 2")
    assert not any(key.startswith("objective.language_model.") for key in differ)  # told with the part


# --- differences that the recipe says

SAID = [
    ("data.batch_size=2", {"sample order", "steps", "batch"}),
    ("data.val_limit=3", {"validation samples"}),
    ("data.test_splits=[val]", {"test samples"}),
    ("trainer.max_steps=20", {"sample order", "steps", "schedule"}),
    ("trainer.accumulate_grad_batches=2", {"sample order", "steps", "batch"}),
    ("trainer.devices=2", {"sample order", "steps", "batch"}),
    ("trainer.max_epochs=1", {"steps"}),
    ("trainer.precision=bf16-mixed", {"precision"}),
    ("trainer.gradient_clip_val=0.5", {"gradient clipping"}),
    ("objective.optimizer.lr=0.1", {"learning rate"}),
    ("objective.optimizer.schedule=cosine", {"schedule"}),
    ("objective.optimizer.warmup_steps=5", {"schedule"}),
    ("objective.optimizer.betas=[0.8, 0.9]", {"optimizer"}),
    ("objective.optimizer.weight_decay=0", {"weight decay"}),
    ("objective.vision_encoder.num_frames=3", {"frames", "vision fingerprint"}),
    ("objective.vision_encoder.frozen=false", {"vision training"}),
    ("tasks=[vqa]", {"task retrieval"}),
    ("tasks=[{class_path: retrieval, init_args: {score_gallery: 2}}, vqa]", {"task retrieval"}),
]


@pytest.mark.parametrize(("change", "checks"), SAID, ids=[change for change, _ in SAID])
def test_a_key_that_differs_is_seen_by_its_checks_alone(compare, change: str, checks: set[str]) -> None:
    key = change.partition("=")[0]
    comparison = compare(f"compare.arms.token.{change}", f"compare.varies=[{key}]", "compare.tune=null")
    comparison = replace(comparison, metrics=())
    seen = {arm.name: observe(comparison, arm) for arm in comparison.arms}

    allowed = judged(comparison, seen)
    assert verdicts(allowed, "listed") == checks
    assert not verdicts(allowed, "refused")
    assert not allowed.refused

    # the same arms, without the word that allows it
    other = judged(replace(comparison, varies=("objective.optimizer.eps", "data.num_workers")), seen)
    assert verdicts(other, "refused") == checks
    assert not verdicts(other, "listed")
    assert len(other.refused) == len(checks)
    assert all("under compare.varies to allow it" in message for message in other.refused)


# --- differences that no recipe says: the parts of one arm behave otherwise


def other_pixels(patch: pytest.MonkeyPatch) -> None:
    shutil.copytree("data", "data2")
    Image.new("RGB", (8, 8), (9, 9, 9)).save("data2/train0.png")
    patch.setattr(ManifestData, "manifests", lambda self: [Path("data2/manifest.jsonl")])


def other_words(patch: pytest.MonkeyPatch) -> None:
    file = Path("data/manifest.jsonl")
    patch.setattr(ManifestData, "manifests", lambda self: [Path("data/other.jsonl")])
    Path("data/other.jsonl").write_text(file.read_text().replace("a red square", "something red", 1))


def changed_samples(split: str, change: Callable[[list[Any]], list[Any]]) -> Plant:
    def plant(patch: pytest.MonkeyPatch) -> None:
        read = ManifestData.sample_set

        def sample_set(self: ManifestData, name: str) -> Any:
            made = read(self, name)
            if name == split and not hasattr(made, "changed"):
                made.samples, made.changed = change(made.samples), True
            return made

        patch.setattr(ManifestData, "sample_set", sample_set)

    return plant


def noisy(samples: list[Any]) -> list[Any]:
    return [samples[0].model_copy(update={"target": "noise"}), *samples[1:]]


def turned(samples: list[Any]) -> list[Any]:
    return samples[::-1]


def reseeded(change: Callable[[int], int]) -> Plant:
    def plant(patch: pytest.MonkeyPatch) -> None:
        make = ManifestData._train_sampler

        def sampler(self: ManifestData, samples: Any) -> ShuffledSampler:
            made = make(self, samples)
            made.seed = change(made.seed)
            return made

        patch.setattr(ManifestData, "_train_sampler", sampler)

    return plant


def smaller_batches(patch: pytest.MonkeyPatch) -> None:
    sampler = ManifestData._train_sampler

    def smaller(self: ManifestData, samples: Any) -> ShuffledSampler:
        self.batch_size = 2
        return sampler(self, samples)

    patch.setattr(ManifestData, "_train_sampler", smaller)


def encoder(change: Callable[[Any], None]) -> Plant:
    def plant(patch: pytest.MonkeyPatch) -> None:
        cls = get("vision", "compared_pixels")
        init = cls.__init__

        def changed(self: Any, *, num_frames: int = 2, frozen: bool = True) -> None:
            init(self, num_frames=num_frames, frozen=frozen)
            change(self)

        patch.setattr(cls, "__init__", changed)

    return plant


def optimizer(change: Callable[[Any], None]) -> Plant:
    def plant(patch: pytest.MonkeyPatch) -> None:
        configure = TokenObjective.configure_optimizers

        def changed(self: TokenObjective) -> Any:
            made = configure(self)
            change(made)
            return made

        patch.setattr(TokenObjective, "configure_optimizers", changed)

    return plant


def decaying(made: Any) -> None:
    made["lr_scheduler"]["scheduler"].lr_lambdas = [
        lambda step: 0.9**step for _ in made["optimizer"].param_groups
    ]


def group_setting(**settings: Any) -> Callable[[Any], None]:
    def change(made: Any) -> None:
        for group in made["optimizer"].param_groups:
            group.update(settings)

    return change


def default_rate(made: Any) -> None:
    made["optimizer"].defaults["lr"] = 1.0


def own_clipping(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TokenObjective, "configure_gradient_clipping", lambda self, *args, **more: None, False)


def half_weights(patch: pytest.MonkeyPatch) -> None:
    setup = ManifestData.attach

    def attach(self: ManifestData, objective: Any) -> None:
        setup(self, objective)
        if isinstance(objective, TokenObjective):
            objective.language_model.bfloat16()

    patch.setattr(ManifestData, "attach", attach)


def other_options(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RetrievalTask, "options", lambda self: {"score_gallery": 3})


HIDDEN: dict[str, tuple[Plant, set[str]]] = {
    "media of other content": (other_pixels, {"data"}),
    "a manifest of other words": (other_words, {"data", "training samples"}),
    "noise in the training samples": (changed_samples("train", noisy), {"training samples"}),
    "another order of the validation set": (changed_samples("val", turned), {"validation samples"}),
    "another answer in the test set": (changed_samples("test", noisy), {"test samples"}),
    "another order of the training samples": (reseeded(lambda seed: seed + 1), {"sample order"}),
    "another order with the second seed alone": (reseeded(lambda seed: seed % 2), {"sample order"}),
    "smaller batches": (smaller_batches, {"sample order", "steps", "batch"}),
    "other weights": (
        encoder(lambda e: e.gain.data.mul_(2)),
        {"vision weights", "vision fingerprint"},
    ),
    "other settings": (
        encoder(lambda e: setattr(e, "fingerprint", lambda: "other")),
        {"vision fingerprint"},
    ),
    "an encoder that learns": (encoder(lambda e: e.gain.requires_grad_()), {"vision training"}),
    "other means": (
        encoder(lambda e: setattr(e, "preprocessing", replace(e.preprocessing, mean=(0.5, 0.5, 0.5)))),
        {"preprocessing"},
    ),
    "another size": (
        encoder(lambda e: setattr(e, "preprocessing", replace(e.preprocessing, size=(16, 16)))),
        {"preprocessing"},
    ),
    "other frames": (
        encoder(lambda e: setattr(e, "preprocessing", replace(e.preprocessing, num_frames=5))),
        {"frames", "vision fingerprint"},
    ),
    "another rate": (optimizer(default_rate), {"learning rate"}),
    "another schedule": (optimizer(decaying), {"schedule"}),
    "other averaging": (optimizer(group_setting(betas=(0.5, 0.5))), {"optimizer"}),
    "another decay": (optimizer(group_setting(weight_decay=0.5)), {"weight decay"}),
    "clipping of its own": (own_clipping, {"gradient clipping"}),
    "weights of half precision": (half_weights, {"precision"}),
    "another gallery": (other_options, {"task retrieval"}),
}


@pytest.mark.parametrize(("plant", "checks"), HIDDEN.values(), ids=HIDDEN.keys())
def test_an_arm_that_behaves_otherwise_by_the_same_recipe_is_refused(
    compare, monkeypatch: pytest.MonkeyPatch, plant: Plant, checks: set[str]
) -> None:
    def watched(comparison: Any, arm: Any, read: Any) -> Any:
        if arm.name != "token":
            return observe(comparison, arm, read)
        with pytest.MonkeyPatch.context() as patch:
            plant(patch)
            return observe(comparison, arm, read)

    monkeypatch.setattr(proof, "observe", watched)
    sheet = control_sheet(compare())
    assert verdicts(sheet, "refused") == checks
    assert not verdicts(sheet, "listed")
    assert len(sheet.refused) == len(checks)
    assert all("behaves differently by itself" in message for message in sheet.refused)


def test_an_order_that_depends_on_what_was_drawn_before_is_refused(
    compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    def order(self: ShuffledSampler, epoch: int) -> list[int]:
        return torch.randperm(self.size).tolist()

    monkeypatch.setattr(ShuffledSampler, "_order", order)
    assert verdicts(control_sheet(compare()), "refused") == {"sample order"}


def test_manifests_are_read_once_for_all_arms_that_name_the_same(
    compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    init = Catalogue.__init__

    def watched(self: Catalogue, manifests: Any, **options: Any) -> None:
        read.append(Path(manifests[0]).name)
        init(self, manifests, **options)

    monkeypatch.setattr(Catalogue, "__init__", watched)
    same = control_sheet(compare())
    assert len(read) == 1
    assert verdicts(same, "refused") == set()

    comparison = compare()
    manifest = Path(comparison.arm("token").values["data"]["init_args"]["manifest"])
    other = manifest.with_name("other.jsonl")
    other.write_text("".join(f"{line}\n" for line in manifest.read_text().splitlines()[:-1]))
    read.clear()
    differing = control_sheet(
        compare(
            f"compare.arms.token.data.manifest={other}", "compare.varies=[data.manifest]", "compare.tune=null"
        )
    )
    assert sorted(read) == sorted([manifest.name, other.name])
    assert "data" in verdicts(differing, "listed")


def test_an_arm_that_names_a_split_which_the_shared_manifests_lack_is_refused(compare) -> None:
    comparison = compare(
        "compare.arms.token.data.val_split=vall", "compare.varies=[data.val_split]", "compare.tune=null"
    )
    with pytest.raises(RecipeError, match=r"data\.val_split names the split 'vall'.*did you mean 'val'"):
        control_sheet(comparison)


def test_a_listed_key_excuses_no_other_difference(compare, monkeypatch: pytest.MonkeyPatch) -> None:
    comparison = compare("compare.arms.token.objective.optimizer.lr=0.1")
    seen = {"jepa": observe(comparison, comparison.arm("jepa"))}
    with monkeypatch.context() as patch:
        reseeded(lambda seed: seed + 1)(patch)
        seen["token"] = observe(comparison, comparison.arm("token"))
    sheet = judged(comparison, seen)
    assert verdicts(sheet, "listed") == {"learning rate"}
    assert verdicts(sheet, "refused") == {"sample order"}


# --- the sheet


def test_a_metric_of_a_set_that_no_arm_is_tested_on_is_refused(compare) -> None:
    sheet = control_sheet(compare("compare.metrics={answers: tets vqa accuracy}"))
    assert [row.verdict for row in sheet.rows if row.verdict != "same"] == []
    assert sheet.refused == [
        "compare.metrics.answers: arm 'jepa' has no test set 'tets'; did you mean 'test'?"
    ]


def test_a_budget_larger_than_the_data_is_said(compare) -> None:
    comparison = compare()
    seen = {arm.name: observe(comparison, arm) for arm in comparison.arms}
    (note,) = judged(comparison, seen).notes
    assert note.startswith("jepa, token: ")
    assert "2.50 passes" in note  # 10 steps of 4 samples, 16 samples
    less = {arm: replace(each, passes=0.5) for arm, each in seen.items()}
    assert judged(comparison, less).notes == []


def test_the_sheet_is_read_back_as_it_was_written(compare, tmp_path: Path) -> None:
    sheet = control_sheet(compare("compare.arms.token.objective.optimizer.lr=0.1"))
    path = sheet.save(tmp_path / "runs" / "control.json")
    assert ControlSheet.load(path) == sheet
    assert json.loads(path.read_text())["rows"][0]["check"] == "data"
    assert len(sheet.row("data").values["jepa"]) == 64  # hashes are whole in the file


def test_the_table_fits_into_100_columns_and_shows_each_value_of_what_differs(compare) -> None:
    comparison = compare(
        "compare.arms.token.data.batch_size=2", "compare.varies=[data.batch_size]", "compare.tune=null"
    )
    seen = {arm.name: observe(comparison, arm) for arm in comparison.arms}
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(control_tables(judged(replace(comparison, varies=()), seen)))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 100
    assert "jepa: 4 × 1 process(es)" in text
    assert "token: 2 × 1 process(es)" in text
    assert "refused: batch differs" in text
    assert seen["jepa"].values["data"][:10] in text
    assert seen["jepa"].values["data"] not in text
