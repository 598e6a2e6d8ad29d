"""Everything that is a model is loaded; everything else is refused by what is wrong with it."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import jepa_vl
from jepa_vl.errors import RecipeError, UserError


def test_importing_the_package_loads_no_torch() -> None:
    code = (
        "import sys, jepa_vl; assert not {'torch', 'lightning', 'transformers', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_run_and_its_checkpoint_are_the_same_model(run: Path, video: Path) -> None:
    by_run, by_file = (jepa_vl.load(p, device="cpu") for p in (run, run / "checkpoints" / "best.ckpt"))
    assert torch.equal(by_run.embed_video(video), by_file.embed_video(video))
    assert by_run.name == by_file.name == "tiny"


def test_a_folder_that_is_no_model_is_said_so(tmp_path: Path, run: Path) -> None:
    with pytest.raises(UserError, match=r"not a run folder or an exported model: expected config.yaml and"):
        jepa_vl.load(tmp_path)
    with pytest.raises(UserError, match="it holds the runs tiny"):
        jepa_vl.load(run.parent)
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(UserError, match=r"pytorch_model.bin is pickled and could run code"):
        jepa_vl.load(tmp_path)


def test_a_pickle_of_a_stranger_is_refused_unread(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "exploded",)  # type: ignore[return-value]

    torch.save({"state_dict": Bomb()}, tmp_path / "a.ckpt")
    with pytest.raises(UserError, match="is refused"):
        jepa_vl.load(tmp_path / "a.ckpt")
    (tmp_path / "b.ckpt").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UserError, match="not a checkpoint"):
        jepa_vl.load(tmp_path / "b.ckpt")
    assert not (tmp_path / "exploded").exists()


RECIPES = Path(__file__).parents[2] / "recipes"


def test_the_recipe_of_a_system_is_a_model(video: Path) -> None:
    model = jepa_vl.load(RECIPES / "systems" / "conse.yaml", device="cpu")
    assert model.name == "conse"
    matches = model.classify([video], ["a dog", "a cat"])[0]
    assert {match.text for match in matches} == {"a dog", "a cat"}
    with pytest.raises(RecipeError, match="the model is a ConSESystem, which has no use for it"):
        jepa_vl.load(RECIPES / "systems" / "conse.yaml", decoder="nearest")


def test_the_recipe_of_a_trained_model_is_not_one(tmp_path: Path, run: Path) -> None:
    with pytest.raises(UserError, match=r"quickstart\.yaml is the recipe of a model that is trained: give"):
        jepa_vl.load(RECIPES / "quickstart.yaml")
    with pytest.raises(UserError, match=r"config\.yaml is the recipe of a model that is trained"):
        jepa_vl.load(run / "config.yaml")
    (tmp_path / "x.yaml").write_text("seed_everything: 1\n")
    with pytest.raises(UserError, match=r"x\.yaml has no 'objective'"):
        jepa_vl.load(tmp_path / "x.yaml")
    with pytest.raises(UserError, match=r"there is no model 'systms/clip\.yaml'"):  # and no hub is asked
        jepa_vl.load("systms/clip.yaml")


def test_a_misspelt_path_is_no_hub_id(run: Path) -> None:
    with pytest.raises(UserError, match="did you mean"):
        jepa_vl.load(run.parent / "tinny")


def test_a_hub_that_cannot_be_reached_is_one_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        UserError, match="no folder 'someone/model', and no model of that name can be fetched"
    ):
        jepa_vl.load("someone/model")
