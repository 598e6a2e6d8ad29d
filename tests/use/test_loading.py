"""Everything that is a model is loaded; everything else is refused by what is wrong with it."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import jepa_vl
from jepa_vl.errors import UserError


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
