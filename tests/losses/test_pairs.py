from __future__ import annotations

import torch

from jepa_vl.losses.pairs import Pairs

GROUP = torch.tensor([5, 2, 5, 9])


def test_multiplicity_counts_a_group_wherever_its_members_stand() -> None:
    assert Pairs.of(GROUP).multiplicity.tolist() == [2, 1, 2, 1]
    shuffled = torch.randint(0, 9, (200,), generator=torch.Generator().manual_seed(0))
    brute = [(shuffled == g).sum().item() for g in shuffled]
    assert Pairs.of(shuffled).multiplicity.tolist() == brute


def test_labels_are_equal_where_groups_are_and_small_enough_for_a_float32() -> None:
    shuffled = torch.randint(-(2**62), 2**62, (50,)).repeat(3)[torch.randperm(150)]
    label = Pairs.of(shuffled).column
    assert torch.equal(label[:, None] == label, shuffled[:, None] == shuffled)
    assert label.min() >= 0
    assert label.max() < 150


def test_63_bit_ids_that_a_float64_cannot_tell_apart_are_different_groups() -> None:
    pairs = Pairs.of(torch.tensor([2**62, 2**62 + 1, 2**62]))
    assert pairs.multiplicity.tolist() == [2, 1, 2]
    assert pairs.column[0] == pairs.column[2] != pairs.column[1]


def test_one_process_has_all_columns_for_its_own() -> None:
    pairs = Pairs.of(GROUP)
    assert pairs.own == slice(0, 4)
    assert torch.equal(pairs.row, pairs.column)
