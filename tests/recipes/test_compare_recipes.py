"""Recipes of comparisons: all are read, say how they are run, hold the paper's numbers, and run shrunk."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from jepa_vl.compare.load import load_comparison
from jepa_vl.compare.plan import Comparison
from jepa_vl.compare.runs import runner
from jepa_vl.compare.runs.job import Job
from jepa_vl.compare.runs.parts import build_parts
from jepa_vl.compare.runs.worker import main as work
from jepa_vl.recipe import load_recipe
from jepa_vl.recipe.resolve import resolve

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes" / "compare").glob("*.yaml"))
TWINS = ("babyai", "tiny", "smollm2", "paper")
GRIDS = ("ablations", "ablations-small")
VARIES = {"ablations": ("init_from",), "ablations-small": ("init_from", "objective.optimizer.lr")}
CLASSES, RETRIEVAL, VQA = "event class, top-1", "text-to-video R@1", "VQA"
#: Table 7: the changes that it prints beside its rows; those of the layers are not printed.
PRINTED = {
    "text-lr-1": (-3.6, -1.4, -1.8),
    "text-lr-0.1": (-0.4, 0.0, 0.4),
    "text-lr-0.01": (-1.7, -2.5, -1.5),
    "text-frozen": (-7.3, -4.3, -1.1),
    "loss-cosine": (-6.8, -10.1, 2.3),
    "loss-l1": (-8.5, -14.8, -2.4),
    "loss-l2": (-9.8, -18.6, -0.6),
    "causal": (-0.6, 1.0, -1.9),
    "random": (0.8, 0.2, -1.9),
    "lm-random": (0.8, 0.2, -1.9),
}


@cache
def read(name: str, *overrides: tuple[str, str]) -> Comparison:
    return load_comparison(ROOT / "recipes" / "compare" / f"{name}.yaml", overrides)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda p: p.stem)
def test_a_comparison_says_what_it_is_and_how_it_is_run(recipe: Path) -> None:
    header = recipe.read_text().split("\n\n")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    assert f"jepa-vl compare --config recipes/compare/{recipe.name}" in header
    assert read(recipe.stem).name == recipe.stem


@pytest.mark.parametrize("name", TWINS)
def test_the_twin_is_the_whole_language_model_of_which_the_predictor_is_half(name: str) -> None:
    comparison = read(name)
    ours, twin = (comparison.arm(arm).values["objective"]["init_args"] for arm in ("jepa", "token"))
    whole = twin["language_model"]["init_args"].get("layers", {"smollm2": 30, "paper": 16}.get(name))
    assert whole == 2 * ours["predictor"]["init_args"]["layers"]
    assert comparison.reference == "token"
    assert ours["vision_encoder"] == twin["vision_encoder"]
    assert ours["optimizer"] == twin["optimizer"]


@pytest.mark.parametrize("name", GRIDS)
def test_the_papers_changes_are_those_that_it_prints(name: str) -> None:
    comparison = read(name)
    arms = {arm.name: arm for arm in comparison.arms}
    for arm, printed in PRINTED.items():
        if arm not in arms:
            continue
        ours, against = arms[arm].paper, arms[comparison.against(arm)].paper
        changes = tuple(round(ours[metric] - against[metric], 1) for metric in (CLASSES, RETRIEVAL, VQA))
        assert changes == printed, arm
    pretrained, default = arms["pretrained"].paper, arms["default"].paper
    # (a) prints what is lost without pretraining
    assert [round(default[m] - pretrained[m], 1) for m in (CLASSES, RETRIEVAL, VQA)] == [-21.7, -17.3, -3.6]


@pytest.mark.parametrize("name", GRIDS)
def test_every_arm_of_a_grid_changes_what_its_name_says_and_nothing_else_is_listed(name: str) -> None:
    comparison = read(name)
    assert comparison.varies == VARIES[name]
    of = {arm.name: arm.values["objective"]["init_args"] for arm in comparison.arms}
    assert of["text-lr-1"]["text_encoder"]["init_args"]["lr_multiplier"] == 1.0
    assert of["default"]["text_encoder"]["init_args"]["lr_multiplier"] == 0.05
    for loss in ("info-nce", "cosine", "l1", "l2", "sigmoid", "vicreg", "sigreg"):
        parts = of[f"loss-{loss}"]
        assert parts["text_encoder"]["init_args"] | {"lr_multiplier": 0} == {
            "model": "all-minilm-l6-v2", "freeze": True, "head": "none", "lr_multiplier": 0,
        }  # fmt: skip
        assert parts["embed_dim"] == 384
    assert of["causal"]["predictor"]["init_args"]["causal"] is True


@pytest.mark.parametrize(
    ("grid", "recipe"),
    [("ablations", "ablations-smollm2-pretrain"), ("ablations-small", "ablations-small-pretrain")],
)
def test_the_pretrained_arm_starts_from_a_run_of_its_own_shape(grid: str, recipe: str) -> None:
    arm = read(grid).arm("pretrained").values
    start = resolve(load_recipe([ROOT / "recipes" / f"{recipe}.yaml"], []))
    assert arm["init_from"] == f"runs/{recipe}"
    assert trained_parts(arm) == trained_parts(start)


def trained_parts(values: dict[str, Any]) -> dict[str, Any]:
    """The objective, without the learning rate of a text encoder that is frozen."""
    objective = copy.deepcopy(values["objective"])
    text: dict[str, Any] = objective["init_args"]["text_encoder"]["init_args"]
    if text.get("freeze"):
        text.pop("lr_multiplier", None)
    return dict(objective)


def test_rows_of_the_predictor_in_small_change_it_alone_on_fixed_targets() -> None:
    comparison = read("ablations-small")
    fixed = comparison.arm("fixed").values
    assert fixed == comparison.arm("loss-info-nce").values  # one run is both
    rows = ("pretrained", "causal", "layers-1", "layers-2", "layers-8")
    assert {comparison.against(row) for row in rows} == {"fixed"}
    assert comparison.against("fixed") == comparison.against("lm-last") == ""
    for row in rows:
        own, base = (dict(each["objective"]["init_args"]) for each in (comparison.arm(row).values, fixed))
        predictors = own.pop("predictor"), base.pop("predictor")
        assert own == base
        assert (predictors[0] == predictors[1]) == (row == "pretrained")


def test_layers_of_a_language_model_start_from_its_last_or_first_or_from_random_ones() -> None:
    comparison = read("ablations-small")
    last = comparison.arm("lm-last").values["objective"]["init_args"]
    assert last["predictor"]["init_args"] == {
        "model": "smollm2-135m-instruct", "layers": 4, "max_query_length": 64,
    }  # fmt: skip
    for row, own in (("lm-first", {"end": "first"}), ("lm-random", {"pretrained": False})):
        assert comparison.against(row) == "lm-last"
        theirs = comparison.arm(row).values["objective"]["init_args"]
        assert theirs["predictor"]["init_args"] == last["predictor"]["init_args"] | own
        assert theirs | {"predictor": last["predictor"]} == last


def test_steps_of_the_series_differ_in_the_texts_alone() -> None:
    for name, key in (("wording", "wording"), ("label-noise", "label_noise")):
        comparison = read(name)
        (arms,) = comparison.series.values()
        assert len(arms) == 3
        for arm in arms:
            ours, other = comparison.arm(arm).values, comparison.arm(comparison.against(arm)).values
            assert ours["data"] == other["data"]
            first = comparison.arm(arms[0]).values
            assert ours["objective"] == first["objective"]
            own = {**ours["data"]["init_args"], key: None}
            assert own == {**first["data"]["init_args"], key: None}


def paper_parts(llama: str, text: str, vision: str) -> list[tuple[str, str]]:
    objective = "objective"
    arms = "compare.arms"
    return [
        (f"{objective}.vision_encoder.model", vision),
        (f"{objective}.vision_encoder.pretrained", "false"),
        ("data.cache_features", "false"),
        (f"{arms}.jepa.objective.predictor.model", llama),
        (f"{arms}.jepa.objective.text_encoder.model", text),
        (f"{arms}.token.objective.language_model.model", llama),
    ]


def test_the_papers_setting_is_built_at_full_size_without_weights() -> None:
    comparison = read("paper", ("data.cache_features", "false"))  # no weights, no fingerprint
    counted: dict[str, int] = {}
    for arm in comparison.arms:
        with torch.device("meta"):
            objective = build_parts(arm.values)[0].objective
        counted[arm.name] = sum(p.numel() for p in objective.parameters() if p.requires_grad)
        assert sum(p.numel() for p in objective.vision_encoder.parameters()) == pytest.approx(316e6, rel=0.02)
        text = getattr(objective, "text_encoder", None)
        if text is not None:
            encoder = sum(p.numel() for p in text.backbone.parameters())
            assert encoder == pytest.approx(303e6, rel=0.02)
            counted[arm.name] -= sum(p.numel() for p in text.parameters() if p.requires_grad)
    # the paper's 0.5B predictor against a 1B language model, 50 % of the trainable parameters or less
    assert counted["jepa"] == pytest.approx(0.49e9, rel=0.02)
    assert counted["token"] == pytest.approx(1.24e9, rel=0.02)
    assert counted["jepa"] <= 0.5 * counted["token"]


@pytest.fixture
def in_process(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs of a comparison in this process, in a folder of its own."""
    monkeypatch.setenv("JEPA_VL_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "run_child", lambda job, _: work(job.save()))
    return tmp_path


def results(job: Job) -> dict[str, Any]:
    """Rows of the full budget, by set."""
    (last,) = sorted((job.folder / "budgets").iterdir())[-1:]
    sets: dict[str, Any] = json.loads((last / "results.json").read_text())["sets"]
    return sets


SMALL = [
    ("data.train_clips", "24"), ("data.val_clips", "2"), ("data.test_clips", "4"), ("data.novel_clips", "2"),
    ("data.batch_size", "8"), ("trainer.max_steps", "2"), ("trainer.val_check_interval", "2"),
    ("compare.seeds", "[1]"), ("compare.budgets", "[1]"), ("compare.tune", "null"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arms"),
    [
        ("babyai-equal", None),
        # an arm with each thing that no other recipe has: what the others change, the tests of it train
        ("wording", ["jepa-140", "token-140"]),
        ("label-noise", ["jepa-50", "token-50"]),
        ("ablations-small", ["pretrained", "loss-vicreg", "causal", "text-smollm2", "lm-random"]),
    ],
)
def test_arms_of_each_kind_run_shrunk(
    name: str, arms: list[str] | None, in_process: Path, command: Callable[..., int]
) -> None:
    if name == "ablations-small":
        assert command("fit", "--config", "recipes/ablations-small-pretrain.yaml") == 0
    comparison = read(
        name,
        *SMALL,
        *([("compare.arms.jepa-flops.trainer.max_steps", "3")] if name == "babyai-equal" else []),
    )
    assert {each.state for each in runner.run(comparison, arms)} == {"finished"}
    for job in runner.plan(comparison, arms, None):
        rows = results(job)
        assert {"test", "novel"} == set(rows)
        for metric in comparison.metrics:
            found = [
                row
                for row in rows[metric.sample_set]
                if (row["task"], row["metric"]) == (metric.task, metric.metric)
            ]
            assert found, (job.arm, metric)


def write_squares(folder: Path) -> Path:
    """Write pictures of one colour each, a caption and a class of each; returns the manifest."""
    folder.mkdir()
    lines = []
    for i in range(24):
        colour = ("red", "green", "blue")[i % 3]
        Image.new("RGB", (64, 64), colour).save(folder / f"{i}.png")
        sample = {"media": f"{i}.png", "split": ("train", "train", "val", "test")[i % 4], "episode": f"e{i}"}
        lines.append({**sample, "id": f"{i}/caption", "target": f"a {colour} square"})
        lines.append({**sample, "id": f"{i}/class", "target": colour, "label": colour})
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return manifest


@pytest.mark.slow
def test_the_papers_setting_runs_shrunk(in_process: Path, tiny_llama: str, tiny_bert: str) -> None:
    shrunk = [
        *paper_parts(tiny_llama, tiny_bert, "vit_pe_core_tiny_patch16_384"),
        ("objective.vision_encoder.image_size", "64"), ("objective.vision_encoder.num_frames", "2"),
        ("objective.optimizer.warmup_steps", "1"), ("compare.arms.jepa.objective.predictor.layers", "2"),
        ("data.manifest", str(write_squares(in_process / "data"))), ("data.batch_size", "4"),
        ("trainer.max_steps", "2"), ("trainer.val_check_interval", "2"), ("trainer.precision", "32-true"),
        ("compare.tune", "null"), ("compare.seeds", "[1]"), ("compare.budgets", "[1]"),
        ("tasks.2.score_gallery", "4"),
    ]  # fmt: skip
    done = runner.run(read("paper", *shrunk))
    assert [(each.state, each.message) for each in done] == [("finished", "")] * 2
