from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from jepa_vl.errors import RecipeError
from jepa_vl.losses.tiles import (
    Scratch,
    check_chunk,
    chunk_for,
    exp_,
    inverse_norm,
    remove_radial_,
    same_label,
    spans,
)


@pytest.mark.parametrize(("size", "chunk"), [(0, 3), (1, 3), (6, 3), (7, 3), (2, 9)])
def test_spans_cover_every_row_once_and_none_is_longer_than_the_chunk(size: int, chunk: int) -> None:
    found = list(spans(size, chunk))
    assert [i for span in found for i in range(span.start, span.stop)] == list(range(size))
    assert all(0 < span.stop - span.start <= chunk for span in found)


def test_a_chunk_is_at_least_one_row_and_by_default_the_device_s() -> None:
    assert check_chunk(None) is None
    assert chunk_for(torch.zeros(2, 2), check_chunk(3)) == 3
    assert chunk_for(torch.zeros(2, 2, device="meta"), None) > chunk_for(torch.zeros(2, 2), None) > 1
    with pytest.raises(RecipeError, match=r"loss\.chunk must be 1 or more, or null, got 0"):
        check_chunk(0)


def test_scratch_tiles_are_contiguous_apart_and_the_same_memory_each_time() -> None:
    scratch = Scratch(torch.zeros((), dtype=torch.float64), 3, 4)
    first, second = scratch.tiles(2, 3)
    assert first.shape == second.shape == (2, 3)
    assert first.is_contiguous()
    first.fill_(1)
    second.fill_(2)
    assert first.eq(1).all()
    assert scratch.tiles(3, 4)[0].data_ptr() == first.data_ptr()


def test_labels_are_compared_as_numbers() -> None:
    out = torch.empty(2, 3)
    found = same_label(torch.tensor([4.0, 1.0]), torch.tensor([1.0, 4.0, 4.0]), out)
    assert found.tolist() == [[0, 1, 1], [1, 0, 0]]
    assert found.data_ptr() == out.data_ptr()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_exponentials_are_exact_to_rounding_and_never_subnormal(dtype: torch.dtype) -> None:
    x = torch.tensor([0.0, -1.0, -30.0, -1e4, -1e30], dtype=dtype)
    found = exp_(x.clone())
    torch.testing.assert_close(found, x.exp(), rtol=1e-6, atol=1e-20)
    assert (found > 1e6 * torch.finfo(dtype).tiny).all()


def test_norm_and_projection_are_the_forward_and_backward_pass_of_a_unit_vector() -> None:
    x = torch.randn(4, 3, dtype=torch.float64)
    x[2] = 0
    x.requires_grad_()
    unit = F.normalize(x, dim=1)
    grad = torch.randn_like(unit)
    unit.backward(grad)
    with torch.no_grad():
        inverse = inverse_norm(x)
        torch.testing.assert_close(x * inverse[:, None], unit)
        torch.testing.assert_close(remove_radial_(grad * inverse[:, None], x, inverse), x.grad)
