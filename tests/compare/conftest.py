"""A comparison of two tiny arms over twelve clips of coloured squares, one image each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from PIL import Image

from jepa_vl.compare.load import load_comparison
from jepa_vl.compare.plan import Comparison

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "grey": (128, 128, 128)}

#: An encoder whose weights can be told apart, frozen, and a data module that can be led astray by a test.
PLUGIN = """\
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from jepa_vl.registry import register
from jepa_vl.vision.base import Preprocessing, VisionEncoder
from jepa_vl.vision.fingerprint import fingerprint


@register("vision", "compared_pixels")
class Pixels(VisionEncoder):
    def __init__(self, *, num_frames: int = 2, frozen: bool = True) -> None:
        super().__init__(frozen=frozen)
        self.dim, self.grid = 3, (2, 2, 2)
        self.preprocessing = Preprocessing(size=(8, 8), num_frames=num_frames)
        self.gain = torch.nn.Parameter(torch.ones(3), requires_grad=not frozen)

    def forward(self, video: Tensor) -> Tensor:
        cells = adaptive_avg_pool2d(video[:, :2].flatten(0, 1).float() / 255, 2)  # [B·2, 3, 2, 2]
        return cells.flatten(2).mT.reshape(len(video), -1, 3) * self.gain

    def fingerprint(self) -> str:
        return fingerprint({"frames": self.preprocessing.num_frames}, self)
"""

RECIPE = """\
name: squares
plugins: [{plugin}]
objective:
  init_args:
    vision_encoder: {{class_path: compared_pixels, init_args: {{num_frames: 2}}}}
    optimizer: {{lr: 1.0e-3, schedule: constant, warmup_steps: 2}}
data:
  class_path: manifest
  init_args: {{manifest: data/manifest.jsonl, batch_size: 4, single_frame_baseline: false}}
tasks: [retrieval, vqa]
trainer: {{accelerator: cpu, devices: 1, max_steps: 10, log_every_n_steps: 1, gradient_clip_val: 1.0}}
compare:
  arms:
    jepa:
      about: VL-JEPA
      objective:
        class_path: jepa
        init_args:
          embed_dim: 16
          predictor:
            class_path: transformer
            init_args: {{dim: 16, layers: 1, heads: 2, query_model: {bert}}}
          text_encoder: {{class_path: hf_text, init_args: {{model: {bert}, freeze: true}}}}
          loss: info_nce
    token:
      objective:
        class_path: token
        init_args:
          language_model:
            class_path: transformer_lm
            init_args: {{dim: 16, layers: 2, heads: 2, model: {bert}}}
  reference: token
  varies: [objective.optimizer.lr]
  seeds: [1, 2]
  budgets: [0.1, 0.5]
  metrics:
    questions: test vqa accuracy
  tune: {{key: objective.optimizer.lr, values: [1.0e-3, 2.0e-3], budget: 0.5, seed: 0}}
"""

Compare = Callable[..., Comparison]


@pytest.fixture(scope="session")
def pixels_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin file: one for all tests, as a module is imported once in a process."""
    file = tmp_path_factory.mktemp("plugins") / "compared_pixels.py"
    file.write_text(PLUGIN)
    return file


@pytest.fixture
def squares(tmp_path: Path, tiny_bert: str, pixels_plugin: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with ``squares.yaml``, a comparison, and its data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "squares.yaml").write_text(RECIPE.format(bert=tiny_bert, plugin=pixels_plugin))
    write_squares(tmp_path / "data")
    return tmp_path


@pytest.fixture
def compare(squares: Path) -> Compare:
    """``compare("trainer.max_steps=20", …)`` → the comparison with some keys changed."""

    def load(*overrides: str) -> Comparison:
        pairs = (text.partition("=") for text in overrides)
        return load_comparison("squares.yaml", [(key, value) for key, _, value in pairs])

    return load


def write_squares(folder: Path, *, words: str = "a {} square") -> None:
    """Write clips of squares, a caption and a question about each, and their manifest."""
    lines = []
    for split, count in (("train", 8), ("val", 4), ("test", 4)):
        for i in range(count):
            word, colour = list(COLOURS.items())[i % 4]
            clip = folder / f"{split}{i}.png"
            clip.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), colour).save(clip)
            shared = {"media": clip.name, "split": split, "episode": f"{split}{i}"}
            lines.append({**shared, "id": f"{split}{i}/caption", "target": words.format(word)})
            question = {"query": "what colour is it?", "target": word, "candidates": list(COLOURS)}
            lines.append({**shared, "id": f"{split}{i}/question", "kind": "colour", **question})
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def edit(file: Path, **changes: object) -> None:
    """Change dotted keys of a YAML file; ``__`` stands for a dot."""
    values = yaml.safe_load(file.read_text())
    for name, value in changes.items():
        *parents, last = name.split("__")
        here = values
        for word in parents:
            here = here.setdefault(word, {})
        here[last] = value
    file.write_text(yaml.safe_dump(values, sort_keys=False))
