"""What is killed twenty times, anywhere, ends with the very bytes of what was left alone."""

from __future__ import annotations

import json
import os
import random
import select
import shutil
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

from jepa_vl.data.shards.reading import ShardReader
from jepa_vl.errors import UserError

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
  max_steps: 18
  val_check_interval: 3
  check_val_every_n_epoch: null
  log_every_n_steps: 5
  enable_model_summary: false
"""


class Server:
    """Starts commands and kills them."""

    def __init__(self, folder: Path) -> None:
        self.log, self._files = folder / "log", folder / "files"
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )
        assert self._said() == "ready"

    def run(
        self, folder: Path, *words: str, kill_after: float | None = None, kill_at_file: int | None = None
    ) -> int:
        """Do a command; returns its exit status, -9 where it was killed.

        Args:
            folder: Where; its folder ``cache`` is the cache.
            words: Of the command.
            kill_after: Seconds.
            kill_at_file: When so many files have been given their names, an even one before it has its own.
        """
        job = {"folder": str(folder), "words": words, "cache": str(folder / "cache"), "log": str(self.log)}
        job |= {"files": str(self._files), "kill_at_file": kill_at_file}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        child = int(self._said())
        if kill_after is not None and not self._answers_within(kill_after):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        return int(self._said())

    def measure(self, folder: Path, *words: str) -> tuple[float, int]:
        """Do a command to its end; returns seconds, and how many files it gives their names."""
        began = time.monotonic()
        assert self.run(folder, *words) == 0, self.told()
        return time.monotonic() - began, int(self._files.read_text())

    def told(self) -> str:
        """What commands have said last."""
        return self.log.read_text()[-2000:]

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _answers_within(self, seconds: float) -> bool:
        return bool(select.select([self._process.stdout], [], [], seconds)[0])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("server"))
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


def content(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def tokens(folder: Path) -> list[dict[str, bytes]]:
    """Every finished set of cached tokens."""
    return [
        content(f.parent) for f in sorted((folder / "cache").rglob("index.json")) if ".tmp-" not in str(f)
    ]


def kills(count: int, takes: float, files: int) -> Iterator[dict[str, Any]]:
    """Moments of a command: half of them by the clock, half at one of its files."""
    drawn = random.Random(0)
    for i in range(count):
        if i % 2:
            yield {"kill_at_file": drawn.randint(1, files)}
        else:
            yield {"kill_after": drawn.uniform(0, takes)}


def test_killed_at_twenty_moments_it_ends_with_the_weights_of_an_uninterrupted_run(
    folder: Path, server: Server
) -> None:
    """Caching, training, validating, saving; a run that gets to its end is compared, and begun anew."""
    last = Path("checkpoints") / "last.ckpt"
    takes, files = server.measure(folder, "fit", "--config", "whole.yaml")
    whole, cached = weights(folder / "runs" / "whole" / last), tokens(folder)
    assert len(cached) >= 1
    assert files > 8  # at the least, a checkpoint at each validation
    killed = folder / "runs" / "killed"

    def fit(**kill: Any) -> int:
        go_on = ("--ckpt_path", "last") if (killed / last).exists() else ()
        return server.run(folder, "fit", "--config", "killed.yaml", *go_on, **kill)

    def anew() -> None:
        shutil.rmtree(killed, ignore_errors=True)
        shutil.rmtree(folder / "cache", ignore_errors=True)

    def check_end() -> None:
        found = weights(killed / last)
        assert found.keys() == whole.keys()
        assert all(torch.equal(found[key], whole[key]) for key in whole)
        assert tokens(folder) == cached

    anew()
    done, gone_on = 0, 0
    for kill in kills(3 * KILLS, takes, files):
        gone_on += (killed / last).exists()
        status = fit(**kill)
        if status == 0:
            check_end()
            anew()
        else:
            assert status == -signal.SIGKILL, server.told()
            for path in killed.rglob("*.ckpt"):
                weights(path)  # a checkpoint that has its name is whole
            done += 1
        if done == KILLS:
            break
    assert done == KILLS
    assert gone_on > KILLS // 4
    assert fit() == 0, server.told()
    check_end()
    results = []
    for name in ("killed", "whole"):
        assert server.run(folder, "test", "--config", f"{name}.yaml") == 0, server.told()
        results.append(json.loads((folder / "runs" / name / "results.json").read_text())["sets"])
    assert results[0] == results[1]
    said = server.log.read_text()
    assert not any(word in said for word in ("damaged", "unusable", "Traceback"))


@pytest.mark.parametrize("words", [("--features",), ("--lossless",)], ids=" ".join)
def test_a_preparation_killed_at_moments_gives_the_files_of_an_uninterrupted_one(
    folder: Path, server: Server, words: tuple[str, ...]
) -> None:
    prepare = ("prepare", "--config", "whole.yaml", *words, "--shard-mib", "0.0005", "--workers", "0")
    takes, files = server.measure(folder, *prepare, "--output", "whole")
    parts, done = folder / "parts", 0
    for kill in kills(KILLS // 2, takes, files):
        status = server.run(folder, *prepare, "--output", "parts", **kill)
        if status == 0:
            assert content(parts) == content(folder / "whole")
            shutil.rmtree(parts)
            continue
        assert status == -signal.SIGKILL, server.told()
        done += 1
        if not (parts / "prepared.json").exists():
            with pytest.raises(UserError):
                ShardReader(str(parts))
    assert done >= KILLS // 4
    assert server.run(folder, *prepare, "--output", "parts") == 0, server.told()
    assert content(parts) == content(folder / "whole")
