"""Feature maps to tokens: nothing lost, nothing moved."""

from __future__ import annotations

import pytest
import torch
from jepa_vl_offline.cells import merge_frames, to_grid


def test_a_finer_map_is_folded_so_that_each_cell_holds_the_places_it_covers() -> None:
    maps = torch.randn(2, 3, 8, 8)
    cells = to_grid(maps, 4)
    assert cells.shape == (2, 12, 4, 4)
    for row in range(4):
        for column in range(4):
            covered = maps[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            assert torch.equal(cells[:, :, row, column], covered.flatten(1))


def test_a_coarser_map_is_repeated_in_place() -> None:
    maps = torch.randn(2, 3, 2, 2)
    cells = to_grid(maps, 4)
    for row in range(4):
        for column in range(4):
            assert torch.equal(cells[:, :, row, column], maps[:, :, row // 2, column // 2])


def test_a_map_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"6×6 places cannot be brought to 4×4"):
        to_grid(torch.zeros(1, 1, 6, 6), 4)


def test_tokens_run_by_time_then_row_then_column() -> None:
    cells = torch.randn(2, 6, 3, 3, 5)
    tokens = merge_frames(cells, 2, difference=False)
    assert tokens.shape == (2, 27, 10)
    for time in range(3):
        token = tokens[:, time * 9 + 1 * 3 + 2]  # row 1, column 2
        assert torch.equal(token, torch.cat([cells[:, 2 * time, 1, 2], cells[:, 2 * time + 1, 1, 2]], dim=-1))


def test_differences_add_up_to_the_frames_again() -> None:
    cells = torch.randn(2, 6, 2, 2, 5, dtype=torch.float64)
    tokens = merge_frames(cells, 3, difference=True)
    summed = tokens.view(2, 2, 4, 3, 5).cumsum(dim=3).flatten(3)
    torch.testing.assert_close(summed.flatten(1, 2), merge_frames(cells, 3, difference=False))


def test_a_tubelet_of_one_frame_has_no_difference() -> None:
    cells = torch.randn(1, 4, 2, 2, 5)
    assert torch.equal(merge_frames(cells, 1, difference=True), merge_frames(cells, 1, difference=False))
