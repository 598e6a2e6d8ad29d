"""Recipes of tiny objectives, resolved; and batches of real texts that have exactly the lengths planned."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from jepa_vl.checkpoint import build_objective
from jepa_vl.cli.build import make_parser, parse
from jepa_vl.decoders import space
from jepa_vl.objectives.base import Objective
from jepa_vl.recipe import load_recipe
from jepa_vl.recipe.resolve import resolve
from jepa_vl.sample import Batch, Item, Sample

ENCODER = """\
import torch
from torch import Tensor, nn

from jepa_vl.registry import register
from jepa_vl.vision.base import Preprocessing, VisionEncoder


@register("vision", "planned_pixels")
class Pixels(VisionEncoder):
    def __init__(self, *, frozen: bool = True, tokens: int = 6) -> None:
        super().__init__(frozen=frozen)
        self.dim, self.grid = 20, (tokens, 1, 1)
        self.preprocessing = Preprocessing(size=(4, 4), num_frames=tokens)
        self.linear = nn.Linear(48, 20)
        if frozen:
            self.freeze_part(self.linear)

    def forward(self, video: Tensor) -> Tensor:
        return self.linear(video.to(self.linear.weight.dtype).flatten(2))

    def fingerprint(self) -> str:
        return "planned-pixels"
"""

Values = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("plugins") / "planned_pixels.py"
    file.write_text(ENCODER)
    return file


@pytest.fixture
def jepa(pixels: Path, tiny_bert: str, tmp_path: Path) -> Values:
    """``jepa("--key", value, …)`` → a resolved recipe."""
    predictor = {"class_path": "transformer", "init_args": {"dim": 32, "layers": 1, "heads": 2}}
    predictor["init_args"]["query_model"] = tiny_bert  # type: ignore[index]
    text = {"class_path": "hf_text", "init_args": {"model": tiny_bert, "freeze": True}}
    parts = {"predictor": predictor, "text_encoder": text, "loss": "info_nce", "embed_dim": 24}
    return _recipes("jepa", parts, pixels, tmp_path)


@pytest.fixture
def token(pixels: Path, tiny_bert: str, tmp_path: Path) -> Values:
    language_model = {"class_path": "transformer_lm", "init_args": {"dim": 32, "layers": 1, "heads": 2}}
    language_model["init_args"]["model"] = tiny_bert  # type: ignore[index]
    return _recipes("token", {"language_model": language_model}, pixels, tmp_path)


@pytest.fixture
def decoder(
    jepa: Values, token: Values, pixels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Values:
    """Of the texts of a run of the recipe ``jepa``, which is built anew wherever it is asked for."""
    of_run, of_token = jepa(), token()
    monkeypatch.setattr(space, "load_objective", lambda path: build_objective(of_run).eval())
    language_model = of_token["objective"]["init_args"]["language_model"]
    part = {"class_path": "prefix_lm", "init_args": {"language_model": language_model, "prefix_length": 2}}
    return _recipes("decoder", {"model": "runs/x", "decoder": part}, pixels, tmp_path)


def _recipes(name: str, parts: dict[str, Any], pixels: Path, folder: Path) -> Values:
    seen = {} if name == "decoder" else {"vision_encoder": "planned_pixels"}

    def make(*words: str) -> dict[str, Any]:
        recipe = {
            "plugins": [str(pixels)],
            "objective": {"class_path": name, "init_args": {**seen, **parts}},
            "data": {"class_path": "manifest", "init_args": {"manifest": "m.jsonl", "batch_size": 16}},
            "trainer": {"max_steps": 10, "devices": 1},
        }
        file = folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump(recipe))
        overrides = list(zip(words[::2], words[1::2], strict=True))
        return parse(make_parser(), resolve(load_recipe([file], overrides))).as_dict()

    return make


@pytest.fixture
def real() -> Callable[..., tuple[Objective, Batch]]:
    """The recipe's objective with its weights, and 16 distinct samples of texts of ``letters`` each."""

    def make(values: dict[str, Any], *, query: int, target: int) -> tuple[Objective, Batch]:
        objective = build_objective(values)
        items = [
            Item(
                Sample(id=str(i), media="x", query=_text(i, query), target=_text(i, target)),
                index=i,
                video=torch.zeros(6, 3, 4, 4, dtype=torch.uint8),
            )
            for i in range(16)
        ]
        return objective, objective.collator()(items)

    return make


def _text(number: int, letters: int) -> str:
    return " ".join(string.ascii_lowercase[number] for _ in range(letters))
