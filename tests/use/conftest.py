"""A run of a tiny JEPA and one of a tiny twin, with random weights, and a folder of small videos."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
import yaml
from transformers import Dinov2Config, Dinov2Model

from jepa_vl.checkpoint import build_objective
from jepa_vl.use import Model, load

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
Write = Callable[..., Path]


@pytest.fixture(scope="session")
def tiny_dinov2(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tiny_dinov2")
    torch.manual_seed(0)
    config = Dinov2Config(**SMALL, image_size=16, patch_size=8, initializer_range=0.5)
    Dinov2Model(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def jepa_recipe(tiny_bert: str, tiny_dinov2: str) -> dict[str, Any]:
    parts = {
        "vision_encoder": ("jepa_vl.vision.hf_vision.HFVision", {"model": tiny_dinov2, "num_frames": 4}),
        "predictor": (
            "jepa_vl.predictors.transformer.TransformerPredictor",
            {"dim": 16, "layers": 1, "heads": 2, "query_model": tiny_bert},
        ),
        "text_encoder": ("jepa_vl.text.hf_text.HFText", {"model": tiny_bert, "freeze": True}),
        "loss": ("jepa_vl.losses.info_nce.InfoNCE", {}),
        "decoder": ("jepa_vl.decoders.nearest.NearestText", {}),
    }
    return _recipe("jepa_vl.objectives.jepa.JEPAObjective", parts, embed_dim=16)


@pytest.fixture(scope="session")
def token_recipe(tiny_llama: str, tiny_dinov2: str) -> dict[str, Any]:
    parts = {
        "vision_encoder": ("jepa_vl.vision.hf_vision.HFVision", {"model": tiny_dinov2, "num_frames": 4}),
        "language_model": ("jepa_vl.language.hf_causal.HFCausalLM", {"model": tiny_llama}),
    }
    return _recipe("jepa_vl.objectives.token.TokenObjective", parts)


def _recipe(objective: str, parts: dict[str, tuple[str, dict[str, Any]]], **more: Any) -> dict[str, Any]:
    arguments = {key: {"class_path": path, "init_args": args} for key, (path, args) in parts.items()}
    return {
        "name": "tiny",
        "plugins": [],
        "objective": {"class_path": objective, "init_args": arguments | more},
    }


@pytest.fixture(scope="session")
def run(jepa_recipe: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder."""
    return write_run(tmp_path_factory.mktemp("runs") / "tiny", jepa_recipe)


@pytest.fixture(scope="session")
def token_run(token_recipe: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("token_runs") / "tiny-token", token_recipe)


def write_run(folder: Path, recipe: dict[str, Any]) -> Path:
    torch.manual_seed(1)
    objective: Any = build_objective(recipe)
    text = yaml.safe_dump(recipe)
    stored = {"version": "0", "name": folder.name, "objective": type(objective).__name__, "recipe": text}
    (folder / "checkpoints").mkdir(parents=True)
    content = {"state_dict": objective.state_dict(), "jepa_vl": stored}
    torch.save(content, folder / "checkpoints" / "best.ckpt")
    (folder / "config.yaml").write_text(text)
    return folder


@pytest.fixture(scope="session")
def mute_run(jepa_recipe: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose recipe has no decoder, as those of our recipes have none."""
    recipe = copy.deepcopy(jepa_recipe)
    del recipe["objective"]["init_args"]["decoder"]
    return write_run(tmp_path_factory.mktemp("mute_runs") / "mute", recipe)


@pytest.fixture(scope="session")
def decoder_run(mute_run: Path, tiny_bert: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the objective `decoder` on the text encoder of `mute_run`, with random weights."""
    language_model = {
        "class_path": "jepa_vl.language.transformer_lm.TransformerLM",
        "init_args": {"dim": 16, "layers": 1, "heads": 2, "model": tiny_bert},
    }
    decoder = {
        "class_path": "jepa_vl.decoders.prefix_lm.PrefixLM",
        "init_args": {"language_model": language_model, "prefix_length": 2, "max_new_tokens": 5},
    }
    objective = {
        "class_path": "jepa_vl.objectives.decoder.DecoderObjective",
        "init_args": {"model": str(mute_run), "decoder": decoder},
    }
    recipe = {"name": "decoder", "plugins": [], "objective": objective}
    return write_run(tmp_path_factory.mktemp("decoder_runs") / "decoder", recipe)


@pytest.fixture(scope="session")
def model(run: Path) -> Model:
    return load(run, device="cpu")


@pytest.fixture(scope="session")
def token_model(token_run: Path) -> Model:
    return load(token_run, device="cpu")


@pytest.fixture(scope="session")
def write_video() -> Write:
    """Write ``seconds`` of noise, another for each seed, at 4 frames a second."""

    def write(path: Path, *, seconds: float = 2.0, seed: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(seed)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=4)
            stream.width = stream.height = 32
            stream.pix_fmt = "yuv420p"
            for _ in range(round(4 * seconds)):
                blocks = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(blocks.repeat(8, 0).repeat(8, 1), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return write


@pytest.fixture(scope="session")
def video(write_video: Write, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "noise.mp4")
