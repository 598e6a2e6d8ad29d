"""A decoder run on disk, as `jepa-vl fit` leaves it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from jepa_vl.decoders.prefix_lm import PROBES, PrefixLM
from jepa_vl.language.transformer_lm import TransformerLM


@pytest.fixture
def space() -> torch.Tensor:
    """Where the probes lie: unit vectors in 16 dimensions."""
    return torch.nn.functional.normalize(torch.randn(len(PROBES), 16), dim=1)


@pytest.fixture
def prefix_lm(tiny_bert: str, space: torch.Tensor) -> PrefixLM:
    torch.manual_seed(5)
    lm = TransformerLM(dim=32, layers=2, heads=2, model=tiny_bert)
    decoder = PrefixLM(language_model=lm, prefix_length=3, max_new_tokens=6).eval()
    decoder.connect(space)
    return decoder


@pytest.fixture
def decoder_run(tmp_path: Path, tiny_bert: str) -> Callable[[PrefixLM], Path]:
    def write(decoder: PrefixLM) -> Path:
        lm = {"dim": 32, "layers": 2, "heads": 2, "model": tiny_bert}
        part = {
            "class_path": "jepa_vl.decoders.prefix_lm.PrefixLM",
            "init_args": {
                "prefix_length": 3,
                "language_model": {
                    "class_path": "jepa_vl.language.transformer_lm.TransformerLM",
                    "init_args": lm,
                },
            },
        }
        recipe = {"objective": {"class_path": "jepa_vl.objectives.decoder.X", "init_args": {"decoder": part}}}
        state = {f"decoder.{k}": v for k, v in decoder.state_dict().items()}
        stored = {"name": "decoder", "objective": "DecoderObjective", "recipe": yaml.safe_dump(recipe)}
        run = tmp_path / "runs" / "decoder"
        (run / "checkpoints").mkdir(parents=True)
        torch.save({"jepa_vl": stored, "state_dict": state}, run / "checkpoints" / "best.ckpt")
        return run

    return write
