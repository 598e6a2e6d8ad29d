from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from jepa_vl.language.blocks import Block, TransformerStack, positions, rotate, rotations


def slow_attention(block, x, seen, where):
    """Attend one position and one head at a time."""
    batch, length, dim = x.shape
    size = dim // block.heads
    query, key, value = block.qkv(block.attention_norm(x)).split(dim, dim=-1)
    query, key = (
        rotate(t.view(batch, length, block.heads, size).transpose(1, 2), where).transpose(1, 2).flatten(2)
        for t in (query, key)
    )
    out = torch.zeros_like(x)
    for b in range(batch):
        for h in range(block.heads):
            part = slice(h * size, (h + 1) * size)
            for i in range(length):
                scores = torch.stack(
                    [
                        query[b, i, part] @ key[b, j, part] / size**0.5
                        if seen[b, i, j]
                        else torch.tensor(-1e30)
                        for j in range(length)
                    ]
                )
                out[b, i, part] = scores.softmax(0) @ value[b, :, part]
    return out


def test_a_block_equals_attention_written_as_loops():
    block = Block(dim=12, heads=3, ffn_mult=2, dropout=0.0)
    x = torch.randn(2, 4, 12)
    seen = torch.rand(2, 4, 4) > 0.4
    seen |= torch.eye(4, dtype=torch.bool)
    where = rotations(torch.arange(4)[None], 4)
    got, _ = block(x, seen[:, None], where, None)
    want = x + block.attention_out(slow_attention(block, x, seen, where))
    want = want + block.ffn_out(F.gelu(block.ffn_in(block.ffn_norm(want))))
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)


def test_a_mask_of_true_equals_no_mask():
    for causal in (True, False):
        stack = TransformerStack(dim=16, layers=2, heads=2, ffn_mult=4, dropout=0.0, causal=causal)
        x = torch.randn(2, 5, 16)
        with_mask, _ = stack(x, torch.ones(2, 5, dtype=torch.bool))
        torch.testing.assert_close(stack(x, None)[0], with_mask, atol=1e-6, rtol=1e-5)


def test_order_matters_though_attention_is_symmetric():
    stack = TransformerStack(dim=16, layers=1, heads=2, ffn_mult=4, dropout=0.0, causal=False)
    x = torch.randn(1, 5, 16)
    assert not torch.allclose(stack(x, None)[0].mean(1), stack(x.flip(1), None)[0].mean(1), atol=1e-3)


def test_dropout_is_off_in_eval_and_on_in_training():
    stack = TransformerStack(dim=16, layers=1, heads=2, ffn_mult=4, dropout=0.5, causal=False)
    x = torch.randn(1, 5, 16)
    assert not torch.equal(stack(x, None)[0], stack(x, None)[0])
    stack.eval()
    assert torch.equal(stack(x, None)[0], stack(x, None)[0])


def test_positions_count_real_tokens_only():
    mask = torch.tensor([[True, True, False, True], [True, False, False, False]])
    assert positions(mask).tolist() == [[0, 1, 1, 2], [0, 0, 0, 0]]


def test_products_of_rotated_vectors_depend_on_their_distance_alone():
    query, key = torch.randn(2, 8)
    where = rotations(torch.arange(50)[None], 8)
    queries = rotate(query.expand(1, 1, 50, 8), where)[0, 0]
    keys = rotate(key.expand(1, 1, 50, 8), where)[0, 0]
    products = queries @ keys.T
    for distance in (0, 1, 7):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand(50 - distance), atol=1e-4, rtol=1e-4)
    assert not torch.isclose(products[0, 1], products[0, 7], atol=1e-3)
    torch.testing.assert_close(products[0, 0], query @ key)


def test_rotation_equals_sine_and_cosine_written_out():
    x = torch.randn(1, 1, 3, 4)
    got = rotate(x, rotations(torch.tensor([[0, 5, 9]]), 4))[0, 0]
    for row, position in enumerate((0, 5, 9)):
        for pair, rate in enumerate((1.0, 0.1)):
            a, b = x[0, 0, row, 2 * pair : 2 * pair + 2].tolist()
            cos, sin = math.cos(position * rate), math.sin(position * rate)
            want = torch.tensor([a * cos - b * sin, a * sin + b * cos])
            torch.testing.assert_close(got[row, 2 * pair : 2 * pair + 2], want, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_rotation_keeps_the_type(dtype):
    assert rotate(torch.randn(1, 1, 3, 4, dtype=dtype), rotations(torch.arange(3)[None], 4)).dtype == dtype
