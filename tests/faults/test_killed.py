"""A run that is killed twenty times, anywhere, ends with the very weights of one that was left alone."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
KILLS = 20
PLUGIN = """\
import time

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from jepa_vl.registry import register
from jepa_vl.vision.base import Preprocessing, VisionEncoder
from jepa_vl.vision.fingerprint import fingerprint


@register("vision", "killed_pixels")
class Pixels(VisionEncoder):
    def __init__(self) -> None:
        super().__init__(frozen=True)
        self.dim, self.grid = 3, (1, 2, 2)
        self.preprocessing = Preprocessing(size=(8, 8), num_frames=1)

    def forward(self, video: Tensor) -> Tensor:
        time.sleep(0.02)  # caching takes long enough to be killed
        cells = adaptive_avg_pool2d(video[:, 0].float() / 255, 2)
        return cells.flatten(2).mT

    def fingerprint(self) -> str:
        return fingerprint({"pixels": 1}, self)
"""
RECIPE = """\
name: {name}
plugins: [killed_pixels.py]
objective:
  class_path: jepa
  init_args:
    embed_dim: 16
    vision_encoder: killed_pixels
    predictor:
      class_path: transformer
      init_args: {{dim: 16, layers: 2, heads: 2, dropout: 0.1, query_model: {bert}}}
    text_encoder: {{class_path: hf_text, init_args: {{model: {bert}, lr_multiplier: 0.5}}}}
    loss: info_nce
    optimizer: {{lr: 1.0e-2, schedule: cosine, warmup_steps: 2}}
data:
  class_path: manifest
  init_args: {{manifest: data/manifest.jsonl, batch_size: 8, single_frame_baseline: false}}
tasks: [retrieval, vqa]
trainer:
  accelerator: cpu
  devices: 1
  max_steps: 24
  val_check_interval: 3
  check_val_every_n_epoch: null
  log_every_n_steps: 5
  enable_model_summary: false
"""


class Server:
    """Starts commands and kills them."""

    def __init__(self, log: Path) -> None:
        self.log = log
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )

    def run(self, folder: Path, *words: str, kill_after: float | None = None) -> int:
        """Do a command; returns its exit status, -9 where it was killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        job = {"folder": str(folder), "words": words, "log": str(self.log)}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        child = int(self._process.stdout.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("log") / "log")
    yield found
    found.close()


@pytest.fixture
def folder(tmp_path: Path, tiny_bert: str) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "killed_pixels.py").write_text(PLUGIN)
    lines = []
    colours = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "grey": (128, 128, 128)}
    for split, count in (("train", 24), ("val", 8), ("test", 8)):
        for i in range(count):
            word, colour = list(colours.items())[i % 4]
            shade = tuple(max(0, value - 3 * i) for value in colour)
            Image.new("RGB", (8, 8), shade).save(data / f"{split}{i}.png")
            sample = {"media": f"{split}{i}.png", "split": split, "episode": f"{split}{i}"}
            asked = {"query": "what colour is it?", "target": word, "candidates": list(colours)}
            lines.append({**sample, "id": f"{split}{i}/caption", "target": f"a {word} square, number {i}"})
            lines.append({**sample, "id": f"{split}{i}/colour", "kind": "colour", **asked})
    (data / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for name in ("whole", "killed"):
        (tmp_path / f"{name}.yaml").write_text(RECIPE.format(name=name, bert=tiny_bert))
    return tmp_path


def weights(path: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    return found


def rows(folder: Path) -> Any:
    return json.loads((folder / "results.json").read_text())["sets"]


def test_killed_at_twenty_moments_it_ends_with_the_weights_of_an_uninterrupted_run(
    folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(name: str, *more: str, kill_after: float | None = None) -> int:
        last = folder / "runs" / name / "checkpoints" / "last.ckpt"
        go_on = ("--ckpt_path", "last") if last.exists() else ()
        return server.run(folder, "fit", "--config", f"{name}.yaml", *go_on, *more, kill_after=kill_after)

    began = time.monotonic()
    assert fit("whole") == 0, server.log.read_text()[-2000:]
    takes = time.monotonic() - began
    drawn = random.Random(0)
    killed = 0
    for _ in range(KILLS):
        status = fit("killed", kill_after=drawn.uniform(0.05, 0.9) * takes)
        killed += status == -signal.SIGKILL
        assert status in (0, -signal.SIGKILL), server.log.read_text()[-2000:]
        for path in (folder / "runs" / "killed").rglob("*.ckpt"):
            weights(path)  # a checkpoint that has its name is whole
    assert killed >= KILLS // 2
    assert fit("killed") == 0, server.log.read_text()[-2000:]
    ours, theirs = (
        weights(folder / "runs" / name / "checkpoints" / "last.ckpt") for name in ("killed", "whole")
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    for name in ("killed", "whole"):
        assert server.run(folder, "test", "--config", f"{name}.yaml") == 0
    assert rows(folder / "runs" / "killed") == rows(folder / "runs" / "whole")


def test_tokens_whose_caching_was_killed_are_made_again_whole(
    folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = folder / "cache"
    drawn = random.Random(1)
    for _ in range(5):
        words = ("fit", "--config", "killed.yaml", "--trainer.max_steps", "1")
        server.run(folder, *words, kill_after=drawn.uniform(0.1, 1.0))
    assert server.run(folder, "fit", "--config", "whole.yaml", "--trainer.max_steps", "6") == 0
    assert not any("damaged" in line or "unusable" in line for line in server.log.read_text().splitlines())
    assert not list(cache.rglob("*.part"))
