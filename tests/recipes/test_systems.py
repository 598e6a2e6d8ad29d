"""Recipes of systems: all of them parse; each runs on tiny weights of its own class, without a checkpoint."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import VJEPA2Config, VJEPA2ForVideoClassification, VJEPA2VideoProcessor

from jepa_vl.__main__ import main
from jepa_vl.cli.build import make_parser, parse
from jepa_vl.recipe import load_recipe
from jepa_vl.recipe.resolve import resolve

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes" / "systems").glob("*.yaml"))
Command = Callable[..., int]
VLMS = {"instructblip": "instructblip_t5", "qwen2_5_vl": "qwen", "smolvlm": "smolvlm"}


def tiny_vlms() -> Any:
    file = ROOT / "tests" / "objectives" / "tiny_vlms.py"
    spec = importlib.util.spec_from_file_location("tiny_vlms", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def results(folder: Path) -> dict[str, set[str]]:
    sets = json.loads((folder / "results.json").read_text())["sets"]
    return {name: {row["task"] for row in rows} for name, rows in sets.items()}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda p: p.stem)
def test_a_system_says_what_it_is_and_what_it_needs_and_parses(recipe: Path) -> None:
    header = recipe.read_text().split("\n\n")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    assert "# Needs" in header
    assert f"jepa-vl test --config recipes/systems/{recipe.name}" in header
    config = parse(make_parser(), resolve(load_recipe([recipe], [])))
    assert config.objective.class_path.startswith("jepa_vl.objectives.")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda p: p.stem)
def test_a_system_is_not_trained(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--config", str(recipe)]) == 2
    assert "is for evaluation: it has nothing to train" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_conse_is_tested_and_predicts_without_a_checkpoint(command: Command, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "conse"
    assert command("test", "--config", "recipes/systems/conse.yaml") == 0
    assert results(run)["test"] == {"retrieval", "classification", "vqa"}
    assert command("predict", "--config", "recipes/systems/conse.yaml") == 0
    embeddings = np.load(run / "embeddings.npy")
    assert np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-3)


@pytest.mark.slow
def test_a_dual_encoder_runs_from_a_folder(command: Command, tmp_path: Path) -> None:
    model_cfg = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": model_cfg}))
    model = open_clip.create_model(f"local-dir:{tmp_path}", load_weights=False)
    save_file(model.state_dict(), tmp_path / "open_clip_model.safetensors")
    words = ("--config", "recipes/systems/clip.yaml", "--objective.model", str(tmp_path))
    assert command("test", *words) == 0
    assert results(tmp_path / "runs" / "clip")["test"] == {"retrieval", "classification", "vqa"}


@pytest.mark.slow
@pytest.mark.parametrize("name", VLMS)
def test_a_vision_language_model_classifies_answers_and_captions(
    name: str, command: Command, tmp_path: Path, tiny_llama: str, tiny_bert: str
) -> None:
    (tmp_path / "model").mkdir()
    model = tiny_vlms().save(VLMS[name], tmp_path / "model", tiny_llama=tiny_llama, tiny_bert=tiny_bert)
    words = ["--config", f"recipes/systems/{name}.yaml", "--objective.model", model]
    words += ["--objective.frame_size", "32", "--objective.dtype", "float32"]
    if name != "instructblip":
        words += ["--objective.num_frames", "2"]
    assert command("test", *words) == 0
    assert results(tmp_path / "runs" / name)["test"] == {"classification", "vqa", "captioning"}


def test_the_probe_runs_on_a_manifest_of_its_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    labels = ["Opening [something]", "Closing [something]"]
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "num_attention_heads": 2, "num_hidden_layers": 1}
    config = VJEPA2Config(
        patch_size=8,
        crop_size=32,
        frames_per_clip=4,
        num_pooler_layers=1,
        id2label=dict(enumerate(labels)),
        **sizes,
        **{f"pred_{name}": value for name, value in sizes.items()},
    )
    VJEPA2ForVideoClassification(config).save_pretrained(tmp_path / "model")
    VJEPA2VideoProcessor(crop_size=32).save_pretrained(tmp_path / "model")
    lines = []
    for i in range(4):
        Image.new("RGB", (40, 36), (60 * i, 30, 90)).save(tmp_path / f"{i}.png")
        label = labels[i % 2].lower()
        sample = {"id": str(i), "media": f"{i}.png", "target": label, "label": label, "split": "test"}
        lines.append(json.dumps(sample))
    (tmp_path / "m.jsonl").write_text("\n".join(lines))
    words = ["test", "--config", str(ROOT / "recipes" / "systems" / "vjepa2_probe.yaml"), "--data.manifest"]
    assert main([*words, "m.jsonl", "--objective.model", "model", "--trainer.accelerator", "cpu"]) == 0
    assert results(tmp_path / "runs" / "vjepa2_probe") == {"test": {"classification"}}
