from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from jepa_vl.compare.costs.flops import count_flops
from jepa_vl.losses.base import Loss
from jepa_vl.losses.info_nce import InfoNCE
from jepa_vl.losses.sigmoid import SigmoidLoss

ROWS, HEADS, LENGTH, WIDTH = 2, 3, 5, 8
ATTENTION = 4 * ROWS * HEADS * LENGTH**2 * WIDTH


def attend(dropout: float) -> None:
    x = torch.randn(ROWS, HEADS, LENGTH, WIDTH, requires_grad=True)
    seen = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
    F.scaled_dot_product_attention(x, x, x, attn_mask=seen, dropout_p=dropout).sum().backward()


def test_attention_counts_the_same_by_every_kernel():
    assert count_flops(lambda: attend(0.0)) == 3 * ATTENTION  # fused
    assert count_flops(lambda: attend(0.1)) == 3 * ATTENTION  # product by product


def test_a_layer_that_torch_fuses_at_inference_is_not_lost():
    layer = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    x = torch.randn(2, 5, 8)
    projections = 2 * 2 * 5 * 8 * 4 * 8
    with torch.no_grad():
        counted = count_flops(lambda: layer(x, x, x, need_weights=False))
    assert counted == projections + 4 * 2 * 5 * 5 * 8
    assert torch.backends.mha.get_fastpath_enabled()


def test_vectors_count_and_tables_do_not():
    matrix, vector = torch.randn(4, 3), torch.randn(3)
    assert count_flops(lambda: matrix @ vector) == 2 * 4 * 3
    assert count_flops(lambda: vector @ vector) == 2 * 3
    table = nn.Embedding(10, 4)
    assert count_flops(lambda: table(torch.tensor([1, 2])).sum().backward()) == 0


def test_inference_mode_and_half_precision_change_no_count():
    layer, x = nn.Linear(8, 16), torch.randn(3, 8)
    with torch.inference_mode():
        assert count_flops(lambda: layer(x)) == 2 * 3 * 8 * 16
    with torch.autocast("cpu", torch.bfloat16):
        assert count_flops(lambda: layer(x)) == 2 * 3 * 8 * 16


def test_a_product_that_is_added_in_place_counts_as_any_other():
    total, left, right = torch.zeros(3, 5), torch.randn(3, 4), torch.randn(4, 5)
    assert count_flops(lambda: total.addmm_(left, right)) == 2 * 3 * 4 * 5


@pytest.mark.parametrize("loss", [InfoNCE, SigmoidLoss])
@pytest.mark.parametrize("learning", [True, False])
def test_a_loss_over_all_pairs_is_one_product_forward_and_two_backward(
    loss: type[Loss], learning: bool
) -> None:
    p, t = torch.randn(2, 5, 8).requires_grad_(learning)

    def step() -> None:
        with torch.set_grad_enabled(learning):
            value = loss(chunk=2)(p, t, torch.arange(5))[0]
        if learning:
            value.backward()

    assert count_flops(step) == (3 if learning else 1) * 2 * 5 * 5 * 8
