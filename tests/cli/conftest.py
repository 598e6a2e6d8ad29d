"""A whole run in a second: 12 clips of coloured squares, a pixel encoder, a tiny text encoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from jepa_vl.__main__ import main

ENCODER = """\
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from jepa_vl.registry import register
from jepa_vl.vision.base import Preprocessing, VisionEncoder


@register("vision", "cli_pixels")
class Pixels(VisionEncoder):
    def __init__(self, *, cells: int = 2) -> None:
        super().__init__(frozen=True)
        self.dim, self.grid = 3, (2, cells, cells)
        self.preprocessing = Preprocessing(size=(8, 8), num_frames=2)

    def forward(self, video: Tensor) -> Tensor:
        cells = adaptive_avg_pool2d(video.flatten(0, 1).float() / 255, self.grid[1])
        return cells.flatten(2).mT.reshape(len(video), -1, 3)

    def fingerprint(self) -> str:
        return f"cli-pixels-{self.grid}"
"""

RECIPE = """\
plugins: [{plugin}]
objective:
  class_path: jepa
  init_args:
    embed_dim: 16
    vision_encoder: cli_pixels
    predictor: {{class_path: transformer, init_args: {{dim: 16, layers: 1, heads: 2, query_model: {bert}}}}}
    text_encoder: {{class_path: hf_text, init_args: {{model: {bert}, freeze: true}}}}
    loss: info_nce
data:
  class_path: manifest
  init_args: {{manifest: data/manifest.jsonl, batch_size: 4, single_frame_baseline: false}}
tasks: [retrieval, vqa]
trainer: {{accelerator: cpu, devices: 1, max_steps: 4, log_every_n_steps: 1, num_sanity_val_steps: 0}}
"""

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "grey": (128, 128, 128)}


@pytest.fixture(scope="session")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin file: one for all tests, as a module is imported once in a process."""
    file = tmp_path_factory.mktemp("plugins") / "cli_pixels.py"
    file.write_text(ENCODER)
    return file


@pytest.fixture
def tiny(tmp_path: Path, tiny_bert: str, pixels: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with ``tiny.yaml`` and its data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(RECIPE.format(bert=tiny_bert, plugin=pixels))
    lines = []
    for split, count in (("train", 8), ("val", 4), ("test", 4)):
        for i in range(count):
            word, colour = list(COLOURS.items())[i % 4]
            clip = tmp_path / "data" / f"{split}{i}"
            clip.mkdir(parents=True)
            for frame in range(2):
                Image.new("RGB", (8, 8), colour).save(clip / f"{frame}.png")
            shared = {"media": clip.name, "split": split, "episode": f"{split}{i}"}
            lines.append({**shared, "id": f"{split}{i}/caption", "target": f"a {word} square"})
            question = {"query": "what colour is it?", "target": word, "candidates": list(COLOURS)}
            lines.append({**shared, "id": f"{split}{i}/question", "kind": "colour", **question})
    (tmp_path / "data" / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def jepa_vl(capfd: pytest.CaptureFixture[str]) -> Command:
    """``jepa_vl("fit", "--config", …)`` → (status, stdout, stderr), in this process."""

    def run(*argv: str) -> tuple[int, str, str]:
        capfd.readouterr()
        status = main(argv)
        out, err = capfd.readouterr()
        return status, out, err

    return run
