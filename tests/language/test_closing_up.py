from __future__ import annotations

import torch

from jepa_vl.language.closing_up import close_up, predicting
from jepa_vl.language.prefix import last_real
from jepa_vl.sample import TextTokens

PREFIX = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]], dtype=torch.bool)
TARGET = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 0, 0]], dtype=torch.bool)
TEXTS = TextTokens(TARGET.long(), TARGET)


def rows():
    mask = torch.cat((PREFIX, TARGET[:, :-1]), dim=1)
    return torch.arange(1.0, 1 + mask.numel()).view(*mask.shape, 1), mask


def test_real_positions_come_first_in_their_order_and_nothing_is_lost():
    x, mask = rows()
    moved, moved_mask = close_up(x, mask, 5)
    assert moved.shape == (3, 5, 1)
    for row in range(3):
        assert torch.equal(moved[row][moved_mask[row]], x[row][mask[row]])
        count = int(mask[row].sum())
        assert moved_mask[row].tolist() == [True] * count + [False] * (5 - count)


def test_what_predicts_a_token_is_what_stands_before_it():
    """Against the way without closing up: the prefix's last real position, then the target's own."""
    x, mask = rows()
    first = last_real(x[:, :4], PREFIX).unsqueeze(1)
    want = torch.cat((first, x[:, 4:]), dim=1)[TARGET]
    moved, _ = close_up(x, mask, 5)
    assert torch.equal(predicting(moved, PREFIX, TEXTS), want)


def test_the_last_token_predicts_nothing_and_may_be_cut_off():
    x, mask = rows()
    moved, _ = close_up(x, mask, 4)  # one less than prefix and target together
    whole, _ = close_up(x, mask, 6)
    assert torch.equal(predicting(moved, PREFIX, TEXTS), predicting(whole, PREFIX, TEXTS))


def test_the_gradient_goes_back_to_where_a_position_came_from():
    x, mask = rows()
    x.requires_grad_()
    predicting(close_up(x, mask, 5)[0], PREFIX, TEXTS).sum().backward()
    assert x.grad[0, :, 0].tolist() == [0, 1, 0, 0, 1, 1]
    assert x.grad[1, :, 0].tolist() == [0, 0, 0, 1, 0, 0]
    assert not x.grad[2].any()
