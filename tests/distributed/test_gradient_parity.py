"""Losses on 2 and 4 gloo processes under DDP have the value and the gradient of one process."""

from __future__ import annotations

from typing import Any

import pytest
import torch

pytestmark = pytest.mark.slow

NAIVE = "info_nce, naive gather"
LOSSES = [
    "info_nce",
    "info_nce, all targets",
    "info_nce, fixed",
    "sigmoid",
    "vicreg",
    "sigreg",
    "cosine",
    "l1",
    "l2",
]


def test_every_loss_of_the_job_is_compared(single: dict[str, Any]) -> None:
    assert set(single) == {*LOSSES, "primitives", "objective"}


@pytest.mark.parametrize("case", LOSSES)
def test_gradients_of_both_towers_and_the_loss_are_one_process_s(
    case: str, single: dict[str, Any], ranks: list[dict[str, Any]]
) -> None:
    want = single[case]["gradients"]
    for found in ranks:
        got = found[case]["gradients"]
        assert got.keys() == want.keys()
        for name, grad in want.items():
            torch.testing.assert_close(got[name], grad, rtol=1e-9, atol=1e-12, msg=f"{case}: {name}")


@pytest.mark.parametrize("case", LOSSES)
def test_the_mean_over_ranks_is_one_process_s_loss_and_log(
    case: str, single: dict[str, Any], ranks: list[dict[str, Any]]
) -> None:
    mean = torch.stack([found[case]["loss"] for found in ranks]).mean(dim=0)
    torch.testing.assert_close(mean, single[case]["loss"], rtol=1e-9, atol=0)
    for name, value in single[case]["logged"].items():
        logged = torch.stack([found[case]["logged"][name] for found in ranks]).mean(dim=0)
        torch.testing.assert_close(logged, value, rtol=1e-6, atol=1e-9, msg=f"{case}: {name}")


def test_a_gather_without_backward_has_the_right_loss_and_the_wrong_gradient(
    single: dict[str, Any], ranks: list[dict[str, Any]]
) -> None:
    """What the other tests would catch."""
    mean = torch.stack([found[NAIVE]["loss"] for found in ranks]).mean(dim=0)
    torch.testing.assert_close(mean, single["info_nce"]["loss"], rtol=1e-9, atol=0)
    want = single["info_nce"]["gradients"]["embed.weight"]
    off = (ranks[0][NAIVE]["gradients"]["embed.weight"] - want).norm() / want.norm()
    assert off > 0.1


def test_rows_and_ids_come_in_rank_order_on_every_rank(ranks: list[dict[str, Any]]) -> None:
    size = len(ranks)
    base = torch.arange(6.0).reshape(3, 2)
    for rank, found in enumerate(ranks):
        got = found["primitives"]
        assert got["world"] == (rank, size)
        assert torch.equal(got["rows"], torch.cat([base + 10 * r for r in range(size)]))
        assert torch.equal(got["turned"], torch.cat([(base + 10 * r).T for r in range(size)]))
        assert got["ids"].tolist() == [x for r in range(size) for x in (r, 2**62 + r)]


def test_backwards_sum_what_all_ranks_say(ranks: list[dict[str, Any]]) -> None:
    said = sum(range(1, len(ranks) + 1))  # rank r weighs its function r + 1
    for rank, found in enumerate(ranks):
        got = found["primitives"]
        assert torch.equal(got["rows_grad"], (torch.arange(6.0).reshape(3, 2) + 10 * rank) * said)
        assert torch.equal(got["total"], torch.tensor([1.0, 2.0]) * said)
        assert torch.equal(got["total_grad"], torch.full((2,), float(said * (rank + 1))))


def test_a_log_sum_exp_over_ranks_is_one_s_of_all_rows(ranks: list[dict[str, Any]]) -> None:
    z = torch.stack([torch.tensor([float(r), -1e30]) for r in range(len(ranks))]).requires_grad_()
    want = z.logsumexp(0)
    said = sum(range(1, len(ranks) + 1))  # rank r weighs the sums r + 1
    (want * said).sum().backward()
    assert z.grad is not None
    for rank, found in enumerate(ranks):
        torch.testing.assert_close(found["primitives"]["log_sum"], want.detach())
        torch.testing.assert_close(found["primitives"]["log_sum_grad"], z.grad[rank])


def test_different_numbers_of_rows_are_an_error_on_every_rank_and_not_a_hang(
    ranks: list[dict[str, Any]],
) -> None:
    rows = ", ".join(["3"] * (len(ranks) - 1) + ["2"])
    for found in ranks:
        assert len(found["uneven"]) == 4
        for said in found["uneven"]:
            assert f"batches of {rows} samples, but must have equally many" in said
            assert "drop_last=True" in said


def test_one_process_gathers_nothing(single: dict[str, Any]) -> None:
    got = single["primitives"]
    assert got["world"] == (0, 1)
    assert torch.equal(got["rows"], torch.arange(6.0).reshape(3, 2))
    assert torch.equal(got["total"], torch.tensor([1.0, 2.0]))
