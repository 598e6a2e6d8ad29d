from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from jepa_vl.recipe import load_recipe
from jepa_vl.recipe.resolve import resolve

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
TWINS = [
    ("quickstart", "quickstart-token"),
    ("smollm2", "smollm2-token"),
    ("pretrain", "pretrain-token"),
]
#: Recipes that start from the run of another one; what they measure is their own.
STARTS_FROM = {
    "decoder": "quickstart",
    "decoder-smollm2": "quickstart",
    "sft": "pretrain",
    "sft-token": "pretrain-token",
    "streams": "sft",
    "streams-token": "sft-token",
}
MEASURES = {"decoder": {"captioning"}, "streams": {"streaming"}, "streams-token": {"streaming"}}
Command = Callable[..., int]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def fit(command: Command, kept: Path, tmp_path: Path) -> Callable[[str], None]:
    """Fit a recipe after those that it starts from, once: other tests get a copy of the run."""

    def have(name: str) -> None:
        if name in STARTS_FROM:
            have(STARTS_FROM[name])
        run = tmp_path / "runs" / name
        if (kept / name).exists():
            shutil.copytree(kept / name, run)
        else:
            assert command("fit", "--config", f"recipes/{name}.yaml") == 0
            shutil.copytree(run, kept / name)

    return have


def read(name: str) -> dict[str, object]:
    return dict(yaml.safe_load((ROOT / "recipes" / f"{name}.yaml").read_text()))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda p: p.stem)
def test_a_recipe_says_what_it_is_and_how_it_is_run(recipe: Path) -> None:
    header = recipe.read_text().split("\n\n")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    assert f"jepa-vl fit --config recipes/{recipe.name}" in header


@pytest.mark.parametrize(("jepa", "token"), TWINS)
def test_twins_differ_in_the_objective_block_only(jepa: str, token: str) -> None:
    assert {k: v for k, v in read(jepa).items() if k != "objective"} == {
        k: v for k, v in read(token).items() if k != "objective"
    }


@pytest.mark.parametrize(("jepa", "token"), TWINS)
def test_twins_see_the_same_tokens_and_the_predictor_is_half_the_language_model(
    jepa: str, token: str
) -> None:
    ours, twin = (
        resolve(load_recipe([ROOT / "recipes" / f"{n}.yaml"], []))["objective"]["init_args"]
        for n in (jepa, token)
    )
    assert ours["vision_encoder"] == twin["vision_encoder"]
    assert ours["optimizer"] == twin["optimizer"]
    layers = ours["predictor"]["init_args"]["layers"]
    whole = twin["language_model"]["init_args"].get("layers", 30)  # SmolLM2 is taken whole: it has 30
    assert whole == 2 * layers


@pytest.mark.slow
@pytest.mark.parametrize(
    # test_paper.py runs the paper's
    "recipe",
    [r for r in RECIPES if "smollm2" not in r.stem and not r.stem.startswith("paper")],
    ids=lambda p: p.stem,
)
def test_a_recipe_fits_and_tests(
    recipe: Path, fit: Callable[[str], None], command: Command, tmp_path: Path
) -> None:
    fit(recipe.stem)
    assert command("test", "--config", f"recipes/{recipe.name}") == 0
    results = json.loads((tmp_path / "runs" / recipe.stem / "results.json").read_text())
    tasks = {row["task"] for rows in results["sets"].values() for row in rows}
    assert tasks == MEASURES.get(recipe.stem, {"retrieval", "classification", "vqa"})


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["smollm2", "smollm2-token", "decoder-smollm2", "ablations-smollm2-pretrain"]
)
def test_a_language_model_recipe_trains(
    name: str, fit: Callable[[str], None], command: Command, tmp_path: Path
) -> None:
    if name in STARTS_FROM:
        fit(STARTS_FROM[name])
    # 135 million weights: the least that trains and is validated
    least = ("--data.batch_size", "2", "--data.train_clips", "4", "--data.val_clips", "1")
    assert command("fit", "--config", f"recipes/{name}.yaml", *least) == 0
    assert (tmp_path / "runs" / name / "checkpoints" / "last.ckpt").exists()


@pytest.mark.slow
def test_both_objectives_read_the_same_cached_tokens(command: Command, cache: Path) -> None:
    assert command("fit", "--config", "recipes/quickstart.yaml") == 0
    before = sorted((cache / "features").rglob("*"))
    assert command("fit", "--config", "recipes/quickstart-token.yaml") == 0
    assert sorted((cache / "features").rglob("*")) == before


@pytest.mark.slow
def test_a_jepa_run_without_a_decoder_is_tested_with_each_and_refuses_one_of_another_run(
    fit: Callable[[str], None], command: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    fit("decoder")
    test = ("test", "--config", "recipes/quickstart.yaml", "--objective.decoder")
    captioning = ("--tasks", "[captioning]")
    for decoder in (("nearest",), ("prefix_lm", "--objective.decoder.weights", "runs/decoder")):
        assert command(*test, *decoder, *captioning) == 0
        rows = json.loads((tmp_path / "runs" / "quickstart" / "results.json").read_text())["sets"]["test"]
        assert {"CIDEr", "exact match"} <= {row["metric"] for row in rows}
    other = ("--seed_everything", "2", "--name", "other")
    assert command("fit", "--config", "recipes/quickstart.yaml", *other) == 0
    capsys.readouterr()
    use = ("prefix_lm", "--objective.decoder.weights", "runs/decoder")
    assert command(*test, *use, "--name", "other") == 1
    assert "trained for another text encoder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["sft", "streams"])
def test_fine_tuning_differs_between_twins_in_where_it_starts_only(name: str) -> None:
    ours, twin = (load_recipe([ROOT / "recipes" / f"{n}.yaml"], []).values for n in (name, f"{name}-token"))
    differing = {key for key in ours.keys() | twin.keys() if ours.get(key) != twin.get(key)}
    assert differing == {"objective", "init_from"}


@pytest.mark.slow
def test_fine_tuning_begins_with_the_weights_of_pretraining(
    fit: Callable[[str], None], command: Command, tmp_path: Path
) -> None:
    fit("pretrain")
    still = ("--objective.optimizer.lr", "1e-30")
    assert command("fit", "--config", "recipes/sft.yaml", *still) == 0
    states = [
        torch.load(tmp_path / "runs" / name, weights_only=True)["state_dict"]
        for name in ("pretrain/checkpoints/best.ckpt", "sft/checkpoints/last.ckpt")
    ]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.slow
def test_a_start_that_is_not_there_or_does_not_fit_is_one_message(
    fit: Callable[[str], None], command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("fit", "--config", "recipes/sft.yaml", "--init_from", "runs/nowhere") == 1
    assert "runs/nowhere" in capsys.readouterr().err
    fit("pretrain-token")
    assert command("fit", "--config", "recipes/sft.yaml", "--init_from", "runs/pretrain-token") == 1
    assert "is of another architecture than this JEPAObjective" in capsys.readouterr().err
