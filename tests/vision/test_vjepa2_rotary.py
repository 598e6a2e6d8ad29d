"""Positions of V-JEPA 2 by one table: those of transformers, exact in half precision, and few launches."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import VJEPA2Config, VJEPA2Model
from transformers.models.vjepa2.modeling_vjepa2 import VJEPA2RopeAttention

from jepa_vl.vision.vjepa2_rotary import VJEPA2Rotary, share_rotary

CONFIG = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2, "patch_size": 8}
PREDICTOR = {"pred_hidden_size": 24, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1}


def encoder(**changes: Any) -> Any:
    torch.manual_seed(0)
    return VJEPA2Model(VJEPA2Config(**{**CONFIG, **PREDICTOR, "crop_size": 32, **changes})).encoder.eval()


def clip(frames: int = 6) -> Tensor:
    return torch.randn(2, frames, 3, 32, 32, generator=torch.Generator().manual_seed(1))


class Count(TorchDispatchMode):
    """Counts operations that are no views."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count it, and do it."""
        self.operations += not (func.is_view or func._schema.name == "aten::_unsafe_view")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("heads", [1, 2, 4])  # of 64, 32 and 16 numbers: some are not turned
def test_tokens_and_gradients_in_float32_are_those_of_transformers_to_the_bit(heads: int) -> None:
    own = encoder(num_attention_heads=heads)
    ours = copy.deepcopy(own)
    share_rotary(ours, 3 * 4 * 4)
    found = []
    for model in (own, ours):
        tokens = model(clip()).last_hidden_state
        tokens.square().sum().backward()
        found.append([tokens, *(p.grad for p in model.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_a_long_clip_in_bfloat16_is_turned_as_exactly_as_a_short_one() -> None:
    attention = VJEPA2RopeAttention(VJEPA2Config(crop_size=256), 1024, 16)
    off = {}
    for frames in (8, 256):
        tokens = frames // 2 * 16 * 16
        places = attention.get_position_ids(torch.empty(1, tokens, 0))
        queries = torch.randn(1, 1, tokens, 64, generator=torch.Generator().manual_seed(0)).bfloat16()
        exact = attention.apply_rotary_embeddings(queries.double(), places)
        rotary = VJEPA2Rotary(attention, tokens)
        for name, turned in (
            ("ours", rotary(queries)),
            ("own", attention.apply_rotary_embeddings(queries, places)),
        ):
            off[name, frames] = float((turned.double() - exact).norm() / exact.norm())
    assert off["ours", 256] == pytest.approx(off["ours", 8], rel=0.2)
    assert off["own", 256] > 2 * off["ours", 256]  # what this is for


def test_angles_are_computed_once_and_not_in_every_layer() -> None:
    own = encoder()
    ours = copy.deepcopy(own)
    share_rotary(ours, 3 * 4 * 4)
    counts = []
    for model in (own, ours):
        with torch.no_grad(), Count() as count:
            model(clip())
        counts.append(count.operations / CONFIG["num_hidden_layers"])  # type: ignore[operator]
    assert counts[0] > 100
    assert counts[1] < 30


def test_a_copy_of_the_encoder_has_a_table_of_its_own_that_moves_along() -> None:
    model = torch.nn.ModuleDict({"backbone": encoder()})
    model["rotary"] = share_rotary(model["backbone"], 3 * 4 * 4)
    moved = copy.deepcopy(model).double()
    assert moved["backbone"].layer[0].attention.apply_rotary_embeddings is moved["rotary"]
    assert moved["backbone"](clip().double()).last_hidden_state.dtype is torch.float64
    assert model["rotary"].cos.dtype is torch.float32
    assert not any("rotary" in name for name in model.state_dict())
