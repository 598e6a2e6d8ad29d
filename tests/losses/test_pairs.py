from __future__ import annotations

import torch

from jepa_vl.losses.pairs import Pairs

GROUP = torch.tensor([5, 2, 5, 9])


def test_multiplicity_counts_a_group_wherever_its_members_stand() -> None:
    assert Pairs.of(GROUP).multiplicity.tolist() == [2, 1, 2, 1]
    shuffled = torch.randint(0, 9, (200,), generator=torch.Generator().manual_seed(0))
    brute = [(shuffled == g).sum().item() for g in shuffled]
    assert Pairs.of(shuffled).multiplicity.tolist() == brute


def test_multiplicity_of_63_bit_ids_is_exact() -> None:
    """Ids that a float64 cannot tell apart are different groups."""
    assert Pairs.of(torch.tensor([2**62, 2**62 + 1, 2**62])).multiplicity.tolist() == [2, 1, 2]


def test_rivals_are_the_own_column_and_other_groups() -> None:
    assert Pairs.of(GROUP).rivals.tolist() == [
        [True, True, False, True],
        [True, True, True, True],
        [False, True, True, True],
        [True, True, True, True],
    ]
