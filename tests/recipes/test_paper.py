"""The paper's recipe: it parses, is planned at full size, and runs on tiny models of the same classes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer, Gemma3TextConfig, Gemma3TextModel, VJEPA2Config, VJEPA2Model

from jepa_vl.__main__ import main
from jepa_vl.cli.build import make_parser, parse
from jepa_vl.planning.cards import CARDS
from jepa_vl.planning.model import Lengths
from jepa_vl.planning.plan import make_plan
from jepa_vl.recipe import load_recipe
from jepa_vl.recipe.resolve import resolve

RECIPE = Path(__file__).parents[2] / "recipes" / "paper.yaml"


@pytest.mark.slow
def test_the_second_stage_has_the_papers_sizes() -> None:
    values = parse(make_parser(), resolve(load_recipe([RECIPE]))).as_dict()
    plan = make_plan(values, lengths=Lengths(0, 32), card=CARDS["h200"], utilisation=0.4)
    assert plan.size.global_batch == 12_288
    assert plan.samples == pytest.approx(0.74e9, rel=0.01)
    assert (plan.frames, plan.visual_tokens) == (8, 1024)
    trained = plan.parameters["predictor"]["trained"] + plan.parameters["visual_projection"]["trained"]
    assert trained == pytest.approx(490e6, rel=0.015)
    # 6 operations for each weight and position, and 12 d for each pair of positions, of 8 layers
    layers = 8 * (6 * 60.8e6 * 1024 + 12 * 2048 * 1024**2)
    assert plan.step.flops == pytest.approx(layers, rel=0.05)
    assert plan.memory.total < CARDS["h200"].memory


def test_the_twin_differs_in_the_objective_and_in_how_retrieval_is_scored() -> None:
    recipes = (RECIPE, RECIPE.with_name("paper-token.yaml"))
    jepa, token = (parse(make_parser(), resolve(load_recipe([recipe]))).as_dict() for recipe in recipes)
    for key in ("vision_encoder", "optimizer"):
        assert token["objective"]["init_args"][key] == jepa["objective"]["init_args"][key]
    assert {key for key in jepa if jepa[key] != token[key]} == {"objective", "tasks"}


@pytest.fixture
def tiny_models(tmp_path: Path, tiny_llama: str) -> dict[str, str]:
    """Folders of V-JEPA 2, Llama and Gemma, each of a few thousand random weights."""
    torch.manual_seed(0)
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    predictor = {"pred_hidden_size": 24, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1}
    VJEPA2Model(
        VJEPA2Config(
            **small, crop_size=32, patch_size=8, frames_per_clip=8, pred_num_mask_tokens=2, **predictor
        )
    ).save_pretrained(tmp_path / "vjepa2")
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    Gemma3TextModel(
        Gemma3TextConfig(
            vocab_size=len(tokenizer),
            **small,
            num_key_value_heads=1,
            head_dim=16,
            intermediate_size=64,
            max_position_embeddings=64,
            use_bidirectional_attention=True,
            pad_token_id=0,
        )
    ).save_pretrained(tmp_path / "gemma")
    tokenizer.save_pretrained(tmp_path / "gemma")
    return {"vision": str(tmp_path / "vjepa2"), "llama": tiny_llama, "gemma": str(tmp_path / "gemma")}


@pytest.mark.slow
def test_it_trains_tiny_models_of_the_same_classes(
    tiny_models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = []
    for split, count in (("train", 8), ("val", 4)):
        for i in range(count):
            Image.new("RGB", (40, 40), (30 * i, 0, 0)).save(tmp_path / f"{split}{i}.png")
            line = {"id": f"{split}{i}", "media": f"{split}{i}.png", "target": f"shade {i}", "split": split}
            lines.append({**line, "episode": f"{split}{i}"})
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = {
        "objective.vision_encoder.model": tiny_models["vision"],
        "objective.predictor.model": tiny_models["llama"],
        "objective.predictor.layers": "2",
        "objective.text_encoder.model": tiny_models["gemma"],
        "data.manifest": "m.jsonl",
        "data.batch_size": "4",
        "data.num_workers": "0",
        "trainer.accelerator": "cpu",
        "trainer.devices": "1",
        "trainer.num_nodes": "1",
        "trainer.strategy": "auto",
        "trainer.max_steps": "2",
        "trainer.val_check_interval": "2",
        "trainer.log_every_n_steps": "1",
    }
    options = [word for key, value in words.items() for word in (f"--{key}", value)]
    assert main(["fit", "--config", str(RECIPE), *options]) == 0
    saved = torch.load(tmp_path / "runs" / "paper" / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 2
