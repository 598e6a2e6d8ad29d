"""What is run on shapes alone is done in one piece as on a GPU, in the backward pass too."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from jepa_vl.planning.live import LiveBytes
from jepa_vl.planning.shapes import shapes_only

ROWS, WIDTH = 1024, 64


def attend(x: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(x, x, x, dropout_p=0.1)


def norm(x: Tensor) -> Tensor:
    return F.rms_norm(x, (WIDTH,), torch.ones(WIDTH, requires_grad=True), 1e-6)


@pytest.mark.parametrize("layer", [attend, norm])
@pytest.mark.parametrize("again", [False, True], ids=["kept", "computed again"])
def test_a_layer_keeps_little_more_than_what_goes_in(layer: nn.Module, again: bool) -> None:
    live = LiveBytes()
    with shapes_only(), live:
        x = torch.empty(1, ROWS, WIDTH, requires_grad=True)
        out = checkpoint(layer, x, use_reentrant=False) if again else layer(x)
        out.sum().backward()
        assert x.grad is not None
    assert live.peak < 8 * x.numel() * 4  # a matrix of scores has 16 times what goes in


def test_functions_are_themselves_again_afterwards() -> None:
    def fail() -> None:
        with shapes_only():
            assert before[0] is not F.rms_norm
            raise ZeroDivisionError

    before = F.rms_norm, F.scaled_dot_product_attention
    with pytest.raises(ZeroDivisionError):
        fail()
    assert before == (F.rms_norm, F.scaled_dot_product_attention)
